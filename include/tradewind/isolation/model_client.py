"""A model version in a process of its own.

Two versions whose project code differs cannot live in one process: the second would silently run the first one's code.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

import tradewind
from tradewind.errors import ModelError
from tradewind.isolation import model_process

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

_START = (
    "import sys; sys.path.insert(0, sys.argv.pop()); from tradewind.isolation.model_process import main; del "
    "sys.path[0]; main()"
)


@dataclass(frozen=True, slots=True)
class _ModelFacts:
    """What the process says of its model; see :class:`model_process.LoadedModel`.

    :param at: when it was loaded, by ``time.monotonic``, which all processes of a machine share
    """

    columns: list[str]
    classes: list[Any] | None
    at: float


class _ChildProcess(Protocol):
    def kill(self) -> None: ...

    def wait(self) -> int: ...


class _ForkedProcess:
    """A forked child, with the two methods of ``Popen`` that are used."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


class ModelHost:
    """Serves one model version from its own process; a context manager.

    :param folder: the logged model's folder; holds ``MLmodel``
    :param name: how messages call the version, for example ``flight_delay version 3``
    :param warm: fork this process in place of starting a new interpreter. Only for a process that has *imported* the
        heavy libraries and not *used* them yet: a fork after the first use can hang
    :param timeout: seconds that loading, or one batch, may take
    """

    def __init__(self, folder: Path, *, name: str, warm: bool, timeout: float = 300.0) -> None:
        self.name = name
        self.timeout = timeout
        self.started_at = 0.0
        """When the process was started, by ``time.monotonic``."""
        self._folder, self._warm = folder, warm
        self._process: _ChildProcess | None = None
        self._model: _ModelFacts | None = None
        self._broken = False

    def __enter__(self) -> Self:
        """Start the process; it loads while the caller goes on."""
        self._stderr: IO[bytes] = tempfile.TemporaryFile()
        self.started_at = time.monotonic()
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = self._fork(theirs) if self._warm else self._start(theirs)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def columns(self) -> list[str]:
        """The model's input columns, in order. Waits until the model is loaded.

        :raises ModelError: it cannot be loaded
        """
        return self._ready().columns

    @property
    def classes(self) -> list[Any] | None:
        """The model's classes in the order of the columns of :meth:`predict`; None for a regressor. Waits likewise.

        :raises ModelError: it cannot be loaded
        """
        return self._ready().classes

    @property
    def loaded_at(self) -> float:
        """When the model was loaded, by ``time.monotonic``, however late it is asked for. Waits likewise.

        :raises ModelError: it cannot be loaded
        """
        return self._ready().at

    def predict(self, rows: pa.Table | pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Class probabilities, float64 of shape (rows, classes); of a regressor its values, shape (rows, 1).

        What is returned is finite, has this shape, and probabilities are such.

        :param rows: has at least the model's columns
        :raises ModelError: a column is missing, the model fails, its process dies, or the time is over
        """
        import numpy as np

        outputs = 1 if self.classes is None else len(self.classes)
        stream = self._stream(rows)
        if not rows.num_rows:
            return np.empty((0, outputs))
        self._send(b"B", memoryview(stream))
        return np.frombuffer(self._answer(b"P", "cannot predict")).reshape(rows.num_rows, outputs)

    def latency(self, rows: pa.Table, *, batch: int, tries: int, seconds: float) -> npt.NDArray[np.float64]:
        """Seconds of each prediction of each batch in the process itself, warmed up; shape (tries, batches).

        :param rows: of all batches, one behind the other
        :param batch: rows of one batch
        :param tries: of each batch at most
        :param seconds: after which no further try of all batches is begun; the first always is
        :raises ModelError: likewise
        """
        import numpy as np

        asked = model_process.TIMING.pack(batch, tries, seconds)
        self._send(b"L", memoryview(asked + self._stream(rows).to_pybytes()))
        return np.frombuffer(self._answer(b"T", "cannot predict")).reshape(-1, rows.num_rows // batch)

    @property
    def lives(self) -> bool:
        """Whether the process can be asked again: it runs, and answered each time it was asked."""
        return self._process is not None and not self._broken

    def close(self) -> None:
        """End the process; a model that does not listen is killed."""
        if self._process is None:
            return
        process, self._process = self._process, None
        try:
            self._channel.settimeout(5)
            model_process.send_message(self._channel, b"S")
            while self._channel.recv(65536):
                pass
        except OSError:
            process.kill()
        process.wait()
        self._channel.close()
        self._stderr.close()

    def _stream(self, rows: pa.Table | pa.RecordBatch) -> pa.Buffer:
        import pyarrow as pa

        columns = self.columns
        if missing := [column for column in columns if column not in rows.schema.names]:
            raise ModelError(f"model {self.name} needs the columns {', '.join(missing)}, which its input does not have")
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.select(columns).schema) as writer:
            writer.write(rows.select(columns))
        return sink.getvalue()

    def _send(self, kind: bytes, payload: memoryview) -> None:
        self._channel.settimeout(self.timeout)
        try:
            model_process.send_message(self._channel, kind, payload)
        except OSError as exc:
            raise self._failed(f"takes no rows ({exc})") from exc

    def _ready(self) -> _ModelFacts:
        if self._model is None:
            self._model = _ModelFacts(**json.loads(bytes(self._answer(b"R", "cannot be loaded"))))
        return self._model

    def _answer(self, expected: bytes, failure: str) -> bytearray:
        if self._process is None:
            raise ModelError(f"model {self.name} is not running; use its host as a context manager")
        self._channel.settimeout(self.timeout)
        try:
            kind, payload = model_process.receive_message(self._channel)
        except TimeoutError:
            self._process.kill()
            raise self._failed(f"gave no answer within {self.timeout:g} s and was stopped") from None
        except (EOFError, OSError) as exc:
            raise self._failed("died") from exc
        if kind != expected:
            raise self._failed(f"{failure}: {payload.decode(errors='replace')}")
        return payload

    def _failed(self, what: str) -> ModelError:
        self._broken = True
        self._stderr.seek(0)
        tail = self._stderr.read()[-2000:].decode(errors="replace").strip()
        return ModelError(f"model {self.name} {what}" + (f"\nits process wrote:\n{tail}" if tail else ""))

    def _start(self, theirs: socket.socket) -> _ChildProcess:
        root = Path(tradewind.__path__[0]).parent
        command = [sys.executable, "-I", "-c", _START, str(theirs.fileno()), str(self._folder), str(root)]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._stderr,
            stderr=self._stderr,
            pass_fds=[theirs.fileno()],
            start_new_session=False,
        )

    def _fork(self, theirs: socket.socket) -> _ChildProcess:
        with warnings.catch_warnings():
            # Python warns of threads in a forking process; they are why `warm` demands an unused process.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid:
            return _ForkedProcess(pid)
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            for stream in (1, 2):
                os.dup2(self._stderr.fileno(), stream)
            self._channel.close()
            model_process.serve_model(theirs, self._folder)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            # Never return into the parent's code, and run none of its exit handlers.
            os._exit(0)


class ModelHostCache:
    """Keeps the processes of the model versions that were used last, for a run over many partitions; a context manager.

    Starting a process costs more than predicting a small population. It stays one process for each version.

    :param most: processes that are kept at a time; of more, the one that was used longest ago ends
    """

    def __init__(self, *, most: int = 3) -> None:
        self._most = most
        self._kept: dict[str, tuple[ModelHost, ExitStack]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._kept:
            self._end(next(iter(self._kept)))

    def lend(self, name: str) -> ModelHost | None:
        """The process of a version, if there is one that can be asked again.

        :param name: of the version, for example ``flight_delay version 3``
        """
        if name in self._kept and not self._kept[name][0].lives:
            self._end(name)
        if name not in self._kept:
            return None
        # The newest stands last.
        self._kept[name] = kept = self._kept.pop(name)
        return kept[0]

    def keep(self, name: str, starting: AbstractContextManager[ModelHost]) -> ModelHost:
        """Start the process of a version, and let it go on when it is not needed for the moment.

        :param name: of the version
        :param starting: starts it, and ends it when it is left
        """
        stack = ExitStack()
        host = stack.enter_context(starting)
        self._kept[name] = host, stack
        if len(self._kept) > self._most:
            self._end(next(iter(self._kept)))
        return host

    def _end(self, name: str) -> None:
        self._kept.pop(name)[1].close()

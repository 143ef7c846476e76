"""What runs in the process of one model version: load it once, then answer batch after batch.

Frames on the socket are a kind (one byte), a length (eight bytes) and a payload. To the child go Arrow streams
(``b"B"``), Arrow streams to predict again and again with how often (``b"L"``), and the word to stop (``b"S"``); from
it come the readiness with the model's columns and classes as JSON (``b"R"``), answers as float64 in C order (``b"P"``),
the seconds that predictions took as float64 (``b"T"``), and errors as text (``b"E"``).

This module imports little and late: its own start-up is what every cold process pays.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tradewind.errors import ModelError, TradewindError
from tradewind.models import tasks
from tradewind.models.arithmetic import fixed_arithmetic
from tradewind.models.code import package

HEADER = struct.Struct("<cQ")
TIMING = struct.Struct("<QId")
"""Rows of one batch, most tries of each, and the seconds after which no further try is begun."""

_WARM_UP = 3


def send(channel: socket.socket, kind: bytes, payload: bytes | memoryview = b"") -> None:
    """Write one frame."""
    channel.sendall(HEADER.pack(kind, len(payload)))
    if len(payload):
        channel.sendall(payload)


def receive(channel: socket.socket) -> tuple[bytes, bytearray]:
    """Read one frame.

    :raises EOFError: the other side is gone
    """
    kind, length = HEADER.unpack(_exactly(channel, HEADER.size))
    return kind, _exactly(channel, length)


def _exactly(channel: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while len(view):
        got = channel.recv_into(view)
        if not got:
            raise EOFError
        view = view[got:]
    return data


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is in this process.

    :param columns: its input columns, in order
    :param classes: its classes, in the order of its probabilities; None for a regressor
    """

    model: Any
    columns: list[str]
    classes: list[Any] | None


def load(folder: Path, stack: ExitStack) -> Loaded:
    """Load the scikit-learn model of a logged model's folder, with the code logged beside it.

    :param folder: holds ``MLmodel``
    :param stack: keeps the model's code importable until it is closed
    :raises ModelError: nobody knows its columns
    """
    import yaml

    described = yaml.safe_load((folder / "MLmodel").read_text())
    flavor = described["flavors"]["sklearn"]
    if not (said := (described.get("signature") or {}).get("inputs")):
        raise ModelError("its file MLmodel has no signature, so nobody knows its columns; train it again")
    columns = [column["name"] for column in json.loads(said)]
    if flavor.get("code"):
        for path in sorted((folder / flavor["code"]).iterdir()):
            if path.is_dir():
                stack.enter_context(package(path.name, path))
    model = _read(folder / flavor["pickled_model"], flavor)
    regressor = described["flavors"]["python_function"].get("predict_fn") == "predict"
    return Loaded(model, columns, None if regressor else tasks.plain(model.classes_))


def _read(file: Path, flavor: dict[str, Any]) -> Any:
    if flavor["serialization_format"] == "skops":
        import skops.io

        return skops.io.load(file, trusted=flavor.get("skops_trusted_types"))
    import pickle

    return pickle.loads(file.read_bytes())


def serve(channel: socket.socket, folder: Path) -> None:
    """Answer on ``channel`` until told to stop or the other side is gone."""
    with ExitStack() as stack:
        try:
            loaded = load(folder, stack)
            stack.enter_context(fixed_arithmetic())
            ready = json.dumps({"columns": loaded.columns, "classes": loaded.classes, "at": time.monotonic()})
        except Exception as exc:
            send(channel, b"E", _words(exc))
            return
        send(channel, b"R", ready.encode())
        while True:
            try:
                kind, payload = receive(channel)
            except EOFError:
                return
            if kind not in (b"B", b"L"):
                return
            try:
                answer = _answer(loaded, payload) if kind == b"B" else _timed(loaded, payload)
            except Exception as exc:
                send(channel, b"E", _words(exc))
            else:
                send(channel, b"P" if kind == b"B" else b"T", answer)


def _answer(loaded: Loaded, payload: bytearray) -> bytes:
    import pyarrow as pa

    frame = pa.ipc.open_stream(payload).read_all().to_pandas(use_threads=False)
    return tasks.output_of(loaded.model, frame, loaded.classes).tobytes()


def _timed(loaded: Loaded, payload: bytearray) -> bytes:
    """Seconds of each prediction of each batch, after some to warm up."""
    import pyarrow as pa

    size, tries, enough = TIMING.unpack_from(payload)
    rows = pa.ipc.open_stream(memoryview(payload)[TIMING.size :]).read_all()
    frames = [rows.slice(at, size).to_pandas(use_threads=False) for at in range(0, rows.num_rows, size)]
    for _ in range(_WARM_UP):
        tasks.output_of(loaded.model, frames[0], loaded.classes)
    predict = [partial(tasks.output_of, loaded.model, frame, loaded.classes) for frame in frames]
    return time_in_turn(predict, tries=tries, seconds=enough).tobytes()


def time_in_turn(
    calls: Sequence[Callable[[], object]], *, tries: int, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> array[float]:
    """Seconds of each call, try after try: all calls once, then all again.

    Tries of one call lie apart in time, so that a machine that is busy for a moment does not slow down all of them.

    :param tries: of each call at most
    :param seconds: after which no further try of all calls is begun; the first always is
    :return: float64, flat, of shape (tries, calls)
    """
    taken, end = array("d"), clock() + seconds
    for number in range(tries):
        if number and clock() >= end:
            break
        for call in calls:
            begun = clock()
            call()
            taken.append(clock() - begun)
    return taken


def _words(exc: Exception) -> bytes:
    return (str(exc) if isinstance(exc, TradewindError) else f"{type(exc).__name__}: {exc}").encode()


def main() -> None:
    """``serve FD FOLDER``: what a cold host starts."""
    serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
    sys.stderr.flush()
    os._exit(0)

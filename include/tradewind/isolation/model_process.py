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
from tradewind.isolation import task_outputs
from tradewind.isolation.project_code import mount_package
from tradewind.isolation.thread_limits import limit_threads

HEADER = struct.Struct("<cQ")
TIMING = struct.Struct("<QId")
"""Rows of one batch, most tries of each, and the seconds after which no further try is begun."""

_WARM_UP = 3


def send_message(channel: socket.socket, kind: bytes, payload: bytes | memoryview = b"") -> None:
    """Write one frame."""
    channel.sendall(HEADER.pack(kind, len(payload)))
    if len(payload):
        channel.sendall(payload)


def receive_message(channel: socket.socket) -> tuple[bytes, bytearray]:
    """Read one frame.

    :raises EOFError: the other side is gone
    """
    kind, length = HEADER.unpack(_receive_bytes(channel, HEADER.size))
    return kind, _receive_bytes(channel, length)


def _receive_bytes(channel: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while len(view):
        got = channel.recv_into(view)
        if not got:
            raise EOFError
        view = view[got:]
    return data


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is in this process.

    :param columns: its input columns, in order
    :param classes: its classes, in the order of its probabilities; None for a regressor
    """

    model: Any
    columns: list[str]
    classes: list[Any] | None


def load_logged_model(folder: Path, stack: ExitStack) -> LoadedModel:
    """Load the scikit-learn model of a logged model's folder, with the code logged beside it.

    :param folder: holds ``MLmodel``
    :param stack: keeps the model's code importable until it is closed
    :raises ModelError: its columns are unknown
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
                stack.enter_context(mount_package(path.name, path))
    model = _read_model_file(folder / flavor["pickled_model"], flavor)
    regressor = described["flavors"]["python_function"].get("predict_fn") == "predict"
    return LoadedModel(model, columns, None if regressor else task_outputs.plain_classes(model.classes_))


def _read_model_file(file: Path, flavor: dict[str, Any]) -> Any:
    if flavor["serialization_format"] == "skops":
        import skops.io

        return skops.io.load(file, trusted=flavor.get("skops_trusted_types"))
    import pickle

    return pickle.loads(file.read_bytes())


def serve_model(channel: socket.socket, folder: Path) -> None:
    """Answer on ``channel`` until told to stop or the other side is gone."""
    with ExitStack() as stack:
        try:
            loaded = load_logged_model(folder, stack)
            stack.enter_context(limit_threads())
            ready = json.dumps({"columns": loaded.columns, "classes": loaded.classes, "at": time.monotonic()})
        except Exception as exc:
            send_message(channel, b"E", _error_text(exc))
            return
        send_message(channel, b"R", ready.encode())
        while True:
            try:
                kind, payload = receive_message(channel)
            except EOFError:
                return
            if kind not in (b"B", b"L"):
                return
            try:
                answer = _predict_payload(loaded, payload) if kind == b"B" else _time_payload(loaded, payload)
            except Exception as exc:
                send_message(channel, b"E", _error_text(exc))
            else:
                send_message(channel, b"P" if kind == b"B" else b"T", answer)


def _predict_payload(loaded: LoadedModel, payload: bytearray) -> bytes:
    import pyarrow as pa

    frame = pa.ipc.open_stream(payload).read_all().to_pandas(use_threads=False)
    return task_outputs.predict_output(loaded.model, frame, loaded.classes).tobytes()


def _time_payload(loaded: LoadedModel, payload: bytearray) -> bytes:
    """Seconds of each prediction of each batch, after some to warm up."""
    import pyarrow as pa

    size, tries, enough = TIMING.unpack_from(payload)
    rows = pa.ipc.open_stream(memoryview(payload)[TIMING.size :]).read_all()
    frames = [rows.slice(at, size).to_pandas(use_threads=False) for at in range(0, rows.num_rows, size)]
    for _ in range(_WARM_UP):
        task_outputs.predict_output(loaded.model, frames[0], loaded.classes)
    predict = [partial(task_outputs.predict_output, loaded.model, frame, loaded.classes) for frame in frames]
    return time_calls_in_turn(predict, tries=tries, seconds=enough).tobytes()


def time_calls_in_turn(
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


def _error_text(exc: Exception) -> bytes:
    return (str(exc) if isinstance(exc, TradewindError) else f"{type(exc).__name__}: {exc}").encode()


def main() -> None:
    """``serve FD FOLDER``: what a cold host starts."""
    serve_model(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
    sys.stderr.flush()
    os._exit(0)

"""What runs in the process of one model version: load it once, then answer batch after batch.

Frames on the socket are a kind (one byte), a length (eight bytes) and a payload. To the child go Arrow streams
(``b"B"``) and the word to stop (``b"S"``); from it come the readiness with the model's columns as JSON (``b"R"``),
probabilities as float64 in C order (``b"P"``), and errors as text (``b"E"``).

This module imports little and late: its own start-up is what every cold process pays.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tradewind.models.code import package

HEADER = struct.Struct("<cQ")


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


def load(folder: Path, stack: ExitStack) -> tuple[Any, list[str]]:
    """Load the scikit-learn model of a logged model's folder, with the code logged beside it.

    :param folder: holds ``MLmodel``
    :param stack: keeps the model's code importable until it is closed
    :returns: the estimator, and the names of its input columns in order
    """
    import yaml

    described = yaml.safe_load((folder / "MLmodel").read_text())
    flavor = described["flavors"]["sklearn"]
    columns = [column["name"] for column in json.loads(described["signature"]["inputs"])]
    if flavor.get("code"):
        for path in sorted((folder / flavor["code"]).iterdir()):
            if path.is_dir():
                stack.enter_context(package(path.name, path))
    file = folder / flavor["pickled_model"]
    if flavor["serialization_format"] == "skops":
        import skops.io

        return skops.io.load(file, trusted=flavor.get("skops_trusted_types")), columns
    import pickle

    return pickle.loads(file.read_bytes()), columns


def serve(channel: socket.socket, folder: Path) -> None:
    """Answer on ``channel`` until told to stop or the other side is gone."""
    with ExitStack() as stack:
        try:
            model, columns = load(folder, stack)
        except Exception as exc:
            send(channel, b"E", f"{type(exc).__name__}: {exc}".encode())
            return
        send(channel, b"R", json.dumps({"columns": columns, "classes": len(model.classes_)}).encode())
        while True:
            try:
                kind, payload = receive(channel)
            except EOFError:
                return
            if kind != b"B":
                return
            try:
                send(channel, b"P", _probabilities(model, payload))
            except Exception as exc:
                send(channel, b"E", f"{type(exc).__name__}: {exc}".encode())


def _probabilities(model: Any, payload: bytearray) -> bytes:
    import numpy as np
    import pyarrow as pa

    frame = pa.ipc.open_stream(payload).read_all().to_pandas(use_threads=False)
    return np.asarray(model.predict_proba(frame), dtype=np.float64).tobytes()


def main() -> None:
    """``serve FD FOLDER``: what a cold host starts."""
    serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
    sys.stderr.flush()
    os._exit(0)

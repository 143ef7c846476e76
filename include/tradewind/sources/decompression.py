"""Delivered files opened and looked at: compressed or not, whole or not."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from tradewind.core.disk import format_bytes, storage_fault
from tradewind.errors import MalformedInput, Unavailable
from tradewind.spec.sources import Limits

_CHUNK = 2**20
_ALWAYS = 64 * 2**20
"""Bytes that a compressed file may have in any case when it is unpacked."""
_UTF16 = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_LOOKED_AT = 64


def duckdb_compression(path: Path) -> str:
    """How DuckDB calls the compression that the file's name tells."""
    return {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower(), "none")


@contextmanager
def open_delivered_file(path: Path, *, called: str, limits: Limits) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked.

    :param called: what messages call the file
    :param limits: how much larger than delivered it may become
    :raises Unavailable: it disappeared
    :raises MalformedInput: it is a folder, must not be read, its compressed content is cut off or damaged, or larger
        than the limit
    """
    with explain_file_errors(called):
        _require_regular_file(path, called)
    with explain_file_errors(called), path.open("rb") as file:
        kind, delivered = duckdb_compression(path), os.fstat(file.fileno()).st_size
        if kind == "none":
            yield file
        elif kind == "gzip":
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield _bounded(cast(IO[bytes], unpacked), called, delivered, limits)
        else:
            import pyarrow as pa

            # pyarrow's own file objects read nothing of an empty file and call that an end.
            if not delivered:
                raise EOFError("no byte is there")
            with pa.CompressedInputStream(file, "zstd") as stream:
                yield _bounded(stream, called, delivered, limits)


class _Bounded(io.RawIOBase):
    """What comes out of a decompressor, up to a limit."""

    def __init__(self, stream: IO[bytes], most: int, problem: str) -> None:
        self._stream, self._left, self._problem = stream, most, problem

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise MalformedInput(self._problem)
        buffer[: len(data)] = data
        return len(data)


def _bounded(stream: IO[bytes], called: str, delivered: int, limits: Limits) -> IO[bytes]:
    problem = (
        f"{called}: unpacked it is more than {limits.unpacked} times as large as the {format_bytes(delivered)} that "
        f"were delivered, and more than {format_bytes(_ALWAYS)}; if that is right, raise `limits: {{unpacked: …}}`"
    )
    most = max(_ALWAYS, limits.unpacked * delivered)
    return io.BufferedReader(_Bounded(stream, most, problem), _CHUNK)


def refuse_other_encoding(path: Path, *, called: str, limits: Limits) -> None:
    """See that text is not UTF-16 or UTF-32, of which no line could be read.

    :raises MalformedInput: it is; names the encoding
    """
    with open_delivered_file(path, called=called, limits=limits) as file:
        start = file.read(_LOOKED_AT)
    encoding = next((name for mark, name in _UTF16.items() if start.startswith(mark)), None)
    if encoding is None and len(start) > 3 and start.isascii():
        # Without a mark every other byte of plain letters is zero.
        halves = {start[place::2].count(0) == len(start[place::2]) for place in (0, 1)}
        encoding = "UTF-16" if halves == {True, False} else None
    if encoding:
        raise MalformedInput(f"{called}: the file is {encoding}, and UTF-8 is expected; deliver it in UTF-8")


def read_chunks(file: IO[bytes]) -> Iterator[bytes]:
    """What is left of an open file, piece by piece."""
    return iter(lambda: file.read(_CHUNK), b"")


@contextmanager
def explain_file_errors(called: str) -> Iterator[None]:
    """Say in words of the delivery what the operating system or a decompressor says of a file."""
    try:
        yield
    except FileNotFoundError as exc:
        raise Unavailable(f"{called} disappeared while it was read; try again when it is there") from exc
    except IsADirectoryError as exc:
        raise MalformedInput(f"{called} is a folder; a file must stand there") from exc
    except PermissionError as exc:
        raise MalformedInput(
            f"{called} cannot be read: {exc.strerror}; let the user who runs the tasks read it"
        ) from exc
    except (EOFError, gzip.BadGzipFile, zlib.error) as exc:
        raise _damaged_compression(called, exc) from exc
    except OSError as exc:
        if (fault := storage_fault(exc, f"{called} cannot be read")) is not None:
            raise fault from exc
        if exc.errno is None:  # pyarrow's decompressor
            raise _damaged_compression(called, exc) from exc
        raise MalformedInput(f"{called} cannot be read: {exc.strerror}") from exc


def _require_regular_file(path: Path, called: str) -> None:
    """Opening a pipe would wait for a writer."""
    kind = path.stat().st_mode
    if stat.S_ISDIR(kind):
        raise IsADirectoryError
    if not stat.S_ISREG(kind):
        raise MalformedInput(f"{called} is not a regular file; a file must stand there")


def _damaged_compression(called: str, exc: Exception) -> MalformedInput:
    return MalformedInput(
        f"{called} cannot be unpacked: {str(exc).rstrip('.')}; it is cut off or damaged, so deliver it again"
    )

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
from typing import IO, cast

from tradewind.core.disk import storage_fault
from tradewind.errors import MalformedInput, Unavailable

_CHUNK = 2**20


def compression(path: Path) -> str:
    """How DuckDB calls the compression that the file's name tells."""
    return {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower(), "none")


@contextmanager
def opened(path: Path, *, called: str) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked.

    :param called: what messages call the file
    :raises Unavailable: it disappeared
    :raises MalformedInput: it is a folder, must not be read, or its compressed content is cut off or damaged
    """
    with explained(called):
        _regular(path, called)
    with explained(called), path.open("rb") as file:
        kind = compression(path)
        if kind == "none":
            yield file
        elif kind == "gzip":
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            import pyarrow as pa

            # pyarrow's own file objects read nothing of an empty file and call that an end.
            if os.fstat(file.fileno()).st_size == 0:
                raise EOFError("no byte is there")
            with io.BufferedReader(pa.CompressedInputStream(file, "zstd")) as unpacked:  # for its lines
                yield unpacked


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """What is left of an open file, piece by piece."""
    return iter(lambda: file.read(_CHUNK), b"")


@contextmanager
def explained(called: str) -> Iterator[None]:
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
        raise _packed(called, exc) from exc
    except OSError as exc:
        if (fault := storage_fault(exc, f"{called} cannot be read")) is not None:
            raise fault from exc
        if exc.errno is None:  # pyarrow's decompressor
            raise _packed(called, exc) from exc
        raise MalformedInput(f"{called} cannot be read: {exc.strerror}") from exc


def _regular(path: Path, called: str) -> None:
    """Opening a pipe would wait for whoever writes into it."""
    kind = path.stat().st_mode
    if stat.S_ISDIR(kind):
        raise IsADirectoryError
    if not stat.S_ISREG(kind):
        raise MalformedInput(f"{called} is no regular file; a file must stand there")


def _packed(called: str, exc: Exception) -> MalformedInput:
    return MalformedInput(
        f"{called} cannot be unpacked: {str(exc).rstrip('.')}; it is cut off or damaged, so deliver it again"
    )

"""How long fetching may take, whatever is at the other end: one that sends a byte now and then ends no time-out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpcore

from tradewind.errors import Unavailable
from tradewind.spec.scalars import format_duration

if TYPE_CHECKING:
    import ssl

    import httpx

Clock = Callable[[], float]
"""Seconds since whenever, like :func:`time.monotonic`."""


class Deadline:
    """A moment at which something must have ended.

    :param limit: how long from now
    :param problem: what is said when it is over, before the limit and its name
    :param field: of `limits` in the YAML, which says how long
    """

    def __init__(self, limit: timedelta, *, problem: str, field: str, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + limit.total_seconds()
        self._problem = f"{problem} after {format_duration(limit)}; try again later, or raise `limits: {{{field}: …}}`"

    def left(self) -> float:
        """Seconds that are left.

        :raises Unavailable: none
        """
        seconds = self._end - self._clock()
        if seconds <= 0:
            raise Unavailable(self._problem)
        return seconds


def limit_time(client: httpx.Client, left: Callable[[], float]) -> None:
    """Let no operation on a socket of the client take longer than what is ``left`` as a whole.

    :param left: seconds; raises an error if there are none
    """
    # httpx has time-outs for single operations only, and no public way to the sockets: these are its connection pools.
    transports: list[Any] = [client._transport, *client._mounts.values()]
    for transport in transports:
        if transport is not None:
            transport._pool._network_backend = _TimedBackend(transport._pool._network_backend, left)


class _TimedBackend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend, left: Callable[[], float]) -> None:
        self._backend, self._left = backend, left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = _shorter(timeout, self._left())
        stream = self._backend.connect_tcp(host, port, seconds, local_address, socket_options)
        return _TimedStream(stream, self._left)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _TimedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, left: Callable[[], float]) -> None:
        self._stream, self._left = stream, left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _shorter(timeout, self._left()))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _shorter(timeout, self._left()))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _shorter(timeout, self._left()))
        return _TimedStream(stream, self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _shorter(timeout: float | None, left: float) -> float:
    return left if timeout is None else min(timeout, left)

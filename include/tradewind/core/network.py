"""How long a silent network is waited for: without these, a connection whose packets are dropped waits for ever."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

CONNECT_SECONDS = 10
SILENT_SECONDS = 60
"""A peer whose machine does not confirm packets for so long is gone; the connection ends with an error."""
_IDLE, _INTERVAL, _PROBES = 30, 10, 3

# Parameters of libpq, PostgreSQL's client library, which psycopg 2 and 3 hand on.
POSTGRES: Mapping[str, int] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": _IDLE,
    "keepalives_interval": _INTERVAL,
    "keepalives_count": _PROBES,
    "tcp_user_timeout": 1000 * SILENT_SECONDS,
}
REDIS: Mapping[str, int] = {"socket_connect_timeout": CONNECT_SECONDS, "socket_timeout": SILENT_SECONDS}


def limit_connecting() -> None:
    """Give libpq a time limit for making connections in this process, unless the deployment has set one."""
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(CONNECT_SECONDS))


def keep_alive(connection: Any) -> None:
    """Let the kernel end a connection whose peer is gone: probes while it is idle, a limit for what is not confirmed.

    :param connection: of a DB-API driver; one that shows no socket is left as it is
    """
    number = getattr(connection, "fileno", None)
    if number is None:
        return
    with socket.socket(fileno=os.dup(number())) as link:
        if link.family not in (socket.AF_INET, socket.AF_INET6):
            return
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", _IDLE), ("TCP_KEEPINTVL", _INTERVAL), ("TCP_KEEPCNT", _PROBES),
            ("TCP_USER_TIMEOUT", 1000 * SILENT_SECONDS),
        ):  # fmt: skip
            if hasattr(socket, name):  # macOS has not all of them
                link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

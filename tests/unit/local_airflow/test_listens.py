"""Whose port it is: a stranger's answer is not ours."""

from __future__ import annotations

import os
import socket

from tradewind.local_airflow.processes import session_listens


def test_a_port_belongs_to_the_session_that_listens_at_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert session_listens(os.getsid(0), port)
    assert not session_listens(os.getsid(0), port)
    assert not session_listens(1 if os.getsid(0) != 1 else 2, port)

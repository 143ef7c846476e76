"""Named points at which the fault tests kill this process: proof that a crash there heals."""

from __future__ import annotations

import os
import signal
from pathlib import Path

VARIABLE = "TRADEWIND_FAULT"
"""``NAME:FILE``: the first process that reaches point NAME while FILE exists removes FILE and kills itself."""


def reach_fault_point(name: str) -> None:
    """Do nothing, unless a fault test asks for a crash here.

    :param name: of the point, which says between what it lies, like ``after-ledger-before-alias``
    """
    wanted, _, file = os.environ.get(VARIABLE, "").partition(":")
    if wanted != name or not file:
        return
    try:
        Path(file).unlink()  # removing succeeds in one process only, so exactly one dies
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)

"""Why a partition is not what would be made now: its recorded cause beside the one that it would have."""

from __future__ import annotations

from collections.abc import Mapping

from tradewind.lake.cause import Cause
from tradewind.planning.plan_item import Reason


def explain_cause_change(recorded: Cause | None, now: Cause) -> tuple[Reason, ...]:
    """The reasons, one for each part of the cause that differs.

    :param recorded: None where it was not recorded what the partition was made from
    :param now: with the parts of the configuration in its notes
    """
    if recorded is None:
        return (Reason("unknown", "nothing says what it was made from"),)
    return (
        *_input_changes(recorded.inputs, now.inputs),
        *_configuration_changes(recorded, now),
        *_code_changes(recorded, now),
    )


def _input_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[Reason]:
    changed = [name for name in now if name in before and before[name] != now[name]]
    lines = [
        ("input", "its input has changed since", [name for name in changed if "/" not in name]),
        ("dataset", "a dataset that it reads was corrected", [name for name in changed if "/" in name]),
        ("input", "it reads what it did not read before", [name for name in now if name not in before]),
        ("input", "it does not read any more", [name for name in before if name not in now]),
    ]
    return [Reason(kind, text, tuple(names)) for kind, text, names in lines if names]


def _configuration_changes(before: Cause, now: Cause) -> list[Reason]:
    if before.config == now.config:
        return []
    known, parts = before.notes.get("configuration"), now.notes.get("configuration", {})
    if not known:
        return [Reason("configuration", "its part of the YAML, or a file that it names, has changed")]
    changed = [name for name in {**known, **parts} if known.get(name) != parts.get(name)]
    if "YAML" in changed and len(changed) > 1:
        # A file that takes another's place changes the YAML too: that is said by naming both files.
        changed = [name for name in changed if name != "YAML" or set(known) == set(parts)]
    return [Reason("configuration", f"changed: {', '.join(sorted(changed)) or 'the YAML'}")]


def _code_changes(before: Cause, now: Cause) -> list[Reason]:
    if before.code == now.code:
        return []
    return [Reason("code", f"Tradewind was upgraded and does this in another way ({before.code}, now {now.code})")]

"""Where a verdict is written beside the ledger: the run in MLflow, the version's tags, and the folder of reports."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.models import pictures, verdict_report
from tradewind.models.registry import Registry, answering
from tradewind.pages import look
from tradewind.spec.digest import config_hash

if TYPE_CHECKING:
    from tradewind.core.gates import TestRows
    from tradewind.core.runtime import Runtime
    from tradewind.ledger.journal import Entry
    from tradewind.models.pictures import Pictures
    from tradewind.models.registry import Version
    from tradewind.spec.models import Pipeline

FOLDER = "verdict"
_TAG = 500


def report_of(entry: Entry, runtime: Runtime) -> Path:
    """The HTML page of a verdict in the folder of reports."""
    return runtime.reports / place_of(entry)


def place_of(entry: Entry) -> str:
    """The HTML page of a verdict, seen from the folder of reports."""
    shadow = "-shadow" if entry.evidence.get("basis") == "shadow" else ""
    return f"{entry.pipeline}/verdict-{entry.partition}-version-{entry.subject}{shadow}.html"


def draw(registry: Registry, candidate: Version, test: TestRows, *, classes: Sequence[str]) -> Pictures:
    """The pictures of a verdict.

    :param classes: the classes by number, for ``multiclass``
    """
    found = read(registry, candidate, "evaluation/importance.json")
    return pictures.pictures(test, json.loads(found) if found else (), classes=list(classes) or None)


def pictures_of(registry: Registry, candidate: Version, entry: Entry) -> str | None:
    """The pictures of this verdict as JSON, and not those of another on the same version; None if they are gone."""
    return read(registry, candidate, f"{_own(entry)}/pictures.json")


def publish(
    entry: Entry, spec: Pipeline, registry: Registry, *,
    candidate: Version, report: Path, drawn: Pictures, trained: Entry | None,
) -> None:  # fmt: skip
    """Into MLflow and the reports folder; before the ledger, so that what the ledger knows of is there.

    :raises ModelError: MLflow refuses
    :raises Unavailable: it does not answer; trying again writes everything again
    """
    page = verdict_report.page(spec, entry, drawn, trained=trained)
    document = {
        "outcome": entry.outcome, "reason": entry.reason, "partition": entry.partition,
        "at": entry.at.isoformat(), "run_id": entry.run_id, "actor": entry.actor, **entry.evidence,
    }  # fmt: skip
    files = {
        "verdict.json": json.dumps(document, indent=1),
        "verdict.html": page,
        "pictures.json": json.dumps(drawn.as_json()),
    }
    _log(registry, candidate, entry, files)
    look.write(report, page)


def restore(
    entry: Entry, spec: Pipeline, registry: Registry, *, candidate: Version, report: Path, trained: Entry | None
) -> None:
    """Write a report again: MLflow's copy, or the page without pictures if that is gone; and the version's tags."""
    page = read(registry, candidate, f"{_own(entry)}/verdict.html")
    look.write(report, page or verdict_report.page(spec, entry, trained=trained))
    with answering(f"the verdict on {candidate} cannot be logged"):
        _tag(registry, candidate, entry)


def _log(registry: Registry, candidate: Version, entry: Entry, files: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory() as scratch, answering(f"the verdict on {candidate} cannot be logged"):
        for name, text in files.items():
            Path(scratch, name).write_text(text, encoding="utf-8")
        # The newest where everybody looks, and each in a folder of its own: a later one removes no earlier one.
        for folder in (FOLDER, _own(entry)):
            registry.client.log_artifacts(candidate.mlflow_run_id, scratch, folder)
        _tag(registry, candidate, entry)


def _tag(registry: Registry, candidate: Version, entry: Entry) -> None:
    tags: Mapping[str, Any] = {
        "verdict": entry.outcome,
        "verdict_reason": entry.reason if len(entry.reason) <= _TAG else f"{entry.reason[: _TAG - 1]}…",
        "verdict_basis": entry.evidence["basis"],
        "verdict_champion": entry.evidence["champion"] or "none",
    }
    for name, value in tags.items():
        registry.client.set_model_version_tag(registry.name, candidate.version, f"tradewind.{name}", value)


def _own(entry: Entry) -> str:
    return f"{FOLDER}/{config_hash(entry.evidence.get('key'), entry.outcome, entry.reason)[:12]}"


def read(registry: Registry, candidate: Version, path: str) -> str | None:
    """An artifact of the candidate's run; None if it is not there."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as scratch:
        try:
            found = registry.client.download_artifacts(candidate.mlflow_run_id, path, scratch)
            return Path(found).read_text(encoding="utf-8")
        except (MlflowException, OSError):
            return None

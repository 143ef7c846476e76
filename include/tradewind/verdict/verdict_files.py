"""Where a verdict is written beside the ledger: the run in MLflow, the version's tags, and the folder of reports."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.pages import layout
from tradewind.registry.model_registry import ModelRegistry, translate_mlflow_errors
from tradewind.spec.digest import config_hash
from tradewind.training import picture_data
from tradewind.verdict import verdict_page

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.ledger.journal import Entry
    from tradewind.metrics.judged_rows import TestRows
    from tradewind.registry.model_registry import RegisteredVersion
    from tradewind.spec.pipeline import Pipeline
    from tradewind.training.picture_data import VerdictPictures

FOLDER = "verdict"
_TAG_LENGTH = 500


def verdict_page_path(entry: Entry, runtime: Runtime) -> Path:
    """The HTML page of a verdict in the folder of reports."""
    return runtime.reports / relative_verdict_path(entry)


def relative_verdict_path(entry: Entry) -> str:
    """The HTML page of a verdict, seen from the folder of reports."""
    shadow = "-shadow" if entry.evidence.get("basis") == "shadow" else ""
    return f"{entry.pipeline}/verdict-{entry.partition}-version-{entry.subject}{shadow}.html"


def draw_verdict_pictures(
    registry: ModelRegistry, candidate: RegisteredVersion, test: TestRows, *, classes: Sequence[str]
) -> VerdictPictures:
    """The pictures of a verdict.

    :param classes: the classes by number, for ``multiclass``
    """
    found = read_run_artifact(registry, candidate, "evaluation/importance.json")
    return picture_data.compute_pictures(test, json.loads(found) if found else (), classes=list(classes) or None)


def read_recorded_pictures(registry: ModelRegistry, candidate: RegisteredVersion, entry: Entry) -> str | None:
    """The pictures of this verdict as JSON, and not those of another on the same version; None if they are gone."""
    return read_run_artifact(registry, candidate, f"{_verdict_folder(entry)}/pictures.json")


def publish_verdict(
    entry: Entry, spec: Pipeline, registry: ModelRegistry, *,
    candidate: RegisteredVersion, report: Path, drawn: VerdictPictures, trained: Entry | None,
) -> None:  # fmt: skip
    """Into MLflow and the reports folder; before the ledger, so that what the ledger knows of is there.

    :raises ModelError: MLflow refuses
    :raises Unavailable: it does not answer; trying again writes everything again
    """
    page = verdict_page.render_verdict_page(spec, entry, drawn, trained=trained)
    document = {
        "outcome": entry.outcome, "reason": entry.reason, "partition": entry.partition,
        "at": entry.at.isoformat(), "run_id": entry.run_id, "actor": entry.actor, **entry.evidence,
    }  # fmt: skip
    files = {
        "verdict.json": json.dumps(document, indent=1),
        "verdict.html": page,
        "pictures.json": json.dumps(drawn.as_json()),
    }
    _log_files(registry, candidate, entry, files)
    layout.write_page(report, page)


def restore_verdict_page(
    entry: Entry,
    spec: Pipeline,
    registry: ModelRegistry,
    *,
    candidate: RegisteredVersion,
    report: Path,
    trained: Entry | None,
) -> None:
    """Write a report again: MLflow's copy, or the page without pictures if that is gone; and the version's tags."""
    page = read_run_artifact(registry, candidate, f"{_verdict_folder(entry)}/verdict.html")
    layout.write_page(report, page or verdict_page.render_verdict_page(spec, entry, trained=trained))
    with translate_mlflow_errors(f"the verdict on {candidate} cannot be logged"):
        _tag_version(registry, candidate, entry)


def _log_files(registry: ModelRegistry, candidate: RegisteredVersion, entry: Entry, files: Mapping[str, str]) -> None:
    with (
        tempfile.TemporaryDirectory() as scratch,
        translate_mlflow_errors(f"the verdict on {candidate} cannot be logged"),
    ):
        for name, text in files.items():
            Path(scratch, name).write_text(text, encoding="utf-8")
        # The newest where everybody looks, and each in a folder of its own: a later one removes no earlier one.
        for folder in (FOLDER, _verdict_folder(entry)):
            registry.client.log_artifacts(candidate.mlflow_run_id, scratch, folder)
        _tag_version(registry, candidate, entry)


def _tag_version(registry: ModelRegistry, candidate: RegisteredVersion, entry: Entry) -> None:
    tags: Mapping[str, Any] = {
        "verdict": entry.outcome,
        "verdict_reason": entry.reason if len(entry.reason) <= _TAG_LENGTH else f"{entry.reason[: _TAG_LENGTH - 1]}…",
        "verdict_basis": entry.evidence["basis"],
        "verdict_champion": entry.evidence["champion"] or "none",
    }
    for name, value in tags.items():
        registry.client.set_model_version_tag(registry.name, candidate.version, f"tradewind.{name}", value)


def _verdict_folder(entry: Entry) -> str:
    return f"{FOLDER}/{config_hash(entry.evidence.get('key'), entry.outcome, entry.reason)[:12]}"


def read_run_artifact(registry: ModelRegistry, candidate: RegisteredVersion, path: str) -> str | None:
    """An artifact of the candidate's run; None if it is not there."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as scratch:
        try:
            found = registry.client.download_artifacts(candidate.mlflow_run_id, path, scratch)
            return Path(found).read_text(encoding="utf-8")
        except (MlflowException, OSError):
            return None

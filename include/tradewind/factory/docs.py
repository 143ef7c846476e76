"""The documentation that a DAG shows, made from its YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.core.gates import describe

if TYPE_CHECKING:
    from tradewind.spec.models import Pipeline

_STAGES = {
    "etl": "Loads, checks and publishes every dataset of the partition.",
    "features": "Materialises the features of the partition into the online store.",
    "monitor": "Profiles the partition, judges drift, and performance where labels fell due.",
    "train": "Decides whether to train; if yes: trains, judges, promotes.",
    "score": "Scores the population that this partition must predict.",
    "rollback": "Makes an earlier version champion again, from the next population on.",
}


def doc_md(spec: Pipeline, stage: str) -> str:
    """Markdown for the DAG of ``stage``: purpose, owner, partitions, datasets, gates, runbook."""
    until = f" until before {spec.end}" if spec.end else ""
    lines = [
        f"### {spec.pipeline}: {stage}",
        spec.description,
        "",
        _STAGES[stage],
        "",
        f"- **Owner:** {spec.owner}",
        f"- **Partitions:** one a {spec.partition} in {spec.timezone}, from {spec.start}{until}; `{spec.schedule}`",
        f"- **Datasets:** {', '.join(spec.datasets)}",
    ]
    if stage in ("train", "rollback") and spec.train:
        window = f"{spec.train.window} partitions, the last {spec.train.test} judge"
        lines += [f"- **Window:** {window}", f"- **Promotion:** {spec.promotion.mode}", "- **Gates:**"]
        lines += [f"    - {describe(gate)}" for gate in spec.gates]
    lines += [
        "",
        f"**When it fails:** {spec.runbook or 'open the failed task: its log names the object and what to do.'}",
    ]
    lines += [
        "",
        "A run needs a partition key: *Trigger*, *Advanced Options*, *Partition Key*; or the API.",
        "`airflow dags trigger` cannot give one.",
    ]
    return "\n".join(lines)

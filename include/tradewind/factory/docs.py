"""The documentation that a DAG shows, made from its YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind.spec.models import Gate, Pipeline

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
        lines += [f"    - {gate_text(gate)}" for gate in spec.gates]
    lines += ["", f"**When it fails:** {spec.runbook or 'open the failed task: its log names the object and what to do.'}"]
    lines += ["", "A run needs a partition key: start it with the form above or through the API; `airflow dags trigger` cannot."]
    return "\n".join(lines)


def gate_text(gate: Gate) -> str:
    """One gate in words."""
    where = f" for every {gate.slice}" if gate.slice else ""
    if gate.versus:
        return (
            f"{gate.metric} against the {gate.versus}: lower bound of the {gate.confidence:.0%} interval "
            f"at least {gate.lower_bound}, by {gate.by}"
        )
    if gate.at_least is not None:
        return f"{gate.metric}{where} at least {gate.at_least}"
    return f"{gate.metric}{where} at most {gate.at_most}"

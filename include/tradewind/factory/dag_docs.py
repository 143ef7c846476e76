"""The documentation that a DAG shows, made from its YAML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tradewind.ledger import completion
from tradewind.spec.problems import join_words
from tradewind.spec.scalars import format_duration

if TYPE_CHECKING:
    from tradewind.spec.pipeline import DatasetSpec, Pipeline
    from tradewind.spec.policy import Retrain
    from tradewind.spec.sources import Source
    from tradewind.spec.training import Train

_PURPOSE = {
    "etl": "Loads, checks and publishes every dataset of the partition.",
    "features": "Materialises the features of the partition into the online store.",
    "monitor": "Profiles the partition, judges drift, and performance where labels fell due.",
    "train": "Decides whether to train; if yes: trains, judges, promotes.",
    "score": "Scores the population that this partition must predict.",
    "rollback": "Makes an earlier version champion again, from the next population on.",
}
_EVENTS = {"score": "predictions", "train": "model", "rollback": "model"}
_BY_HAND = {
    "stage": "A run needs a partition key: *Trigger*, *Advanced Options*, *Partition Key*; or the API. "
    "`airflow dags trigger` cannot give one.",
    "rollback": "Trigger it by hand: its form asks for the version that is to serve again, and for the reason.",
}
_MEANS = {"fail": "is an error", "skip": "leaves the partition out"}


def doc_md(spec: Pipeline, stage: str, *, configuration: str | None = None) -> str:
    """Markdown for the DAG of ``stage``: purpose, owner, schedule, inputs, outputs, gates, what to do when it fails.

    :param configuration: what holds for the pipeline, as YAML, to be shown whole
    """
    parts = [
        f"### {spec.pipeline}: {stage}\n{spec.description}\n\n{_PURPOSE[stage]}\n\n{_state_text(spec.pipeline)}",
        _list([f"**Owner:** {spec.owner}", f"**Runs:** {_runs(spec, stage)}", f"**Partitions:** {_partitions(spec)}"]),
        f"**Reads**\n\n{_list(_reads(spec, stage))}",
        f"**Writes**\n\n{_list(_writes(spec, stage))}",
        *_policy(spec, stage),
        f"**When it fails:** {_failure(spec, stage)}",
        _BY_HAND["rollback" if stage == "rollback" else "stage"],
        _configuration(spec, stage, configuration),
    ]
    return "\n\n".join(part for part in parts if part)


def _state_text(pipeline: str) -> str:
    """Where the present state is: what a DAG's text says was true when its file was read."""
    picture = f"![How {pipeline} stands now](/tradewind/state/{pipeline}.svg)"
    page = f"[How it stands now](/tradewind/#{pipeline}): progress, champion, decisions, what is wrong or held."
    return f"{picture}\n\n{page}"


def _list(items: Iterator[str] | list[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _runs(spec: Pipeline, stage: str) -> str:
    if stage == "etl":
        return f"`{spec.schedule}` in {spec.timezone}, each with the key of the partition that has just ended"
    before = completion.upstream_stage(stage, spec.stages)
    return f"after the event `{spec.pipeline}/{before}` of the same partition" if before else "by hand"


def _partitions(spec: Pipeline) -> str:
    until = f" until before {spec.end}" if spec.end else ""
    return f"one a {spec.partition} in {spec.timezone}, from {spec.start}{until}"


def _reads(spec: Pipeline, stage: str) -> Iterator[str]:
    if stage == "etl":
        for name, dataset in spec.datasets.items():
            yield from _inputs(name, dataset)
    if stage == "features" and spec.features:
        count = _count(spec.features.lookback, "partition")
        yield f"{count} of the datasets behind the feature views of `{spec.features.definitions}`"
    if stage == "monitor" and spec.monitor:
        yield (
            f"the features and predictions of the last {join_words(map(str, spec.monitor.horizons), 'and')} partitions"
        )
        yield "the labels of scored partitions that have fallen due"
    if stage == "rollback":
        yield "the ledger: which versions have served"
    if stage == "train" and spec.train:
        train = spec.train
        yield f"{train.window} partitions, the last {train.test} of which judge: feature service `{train.service}`"
        late = f", known {format_duration(train.label.available_after)} later" if train.label.available_after else ""
        yield f"label `{train.label.column}` of `{train.label.dataset}`{late}; model `{train.model}` ({train.task})"
        yield _split(train)
    if stage == "score" and spec.score:
        ahead = f"{_count(spec.score.ahead, 'partition')} ahead" if spec.score.ahead else "of the same partition"
        yield f"the population {ahead}: {_source(spec.score.population)}"
        yield f"features as they were known at {_KNOWN[spec.score.predict_at]}, and the champion of that population"


def _split(train: Train) -> str:
    """Who learns, who chooses, who judges, and what must be there."""
    gap = train.label.available_after if train.gap is None else train.gap
    parts = [f"{train.window - train.validation - train.test} partitions to learn from"]
    parts += [f"{train.validation} to choose by"] if train.validation else []
    parts += [f"{train.test} to judge by"]
    apart = f", {format_duration(gap)} apart" if gap else ""
    there = "all of them" if train.complete == "all" else f"at least {train.complete} of them"
    return (
        f"{join_words(parts, 'and')}{apart}; {there} must be there, or it is an incident after "
        f"{format_duration(train.patience)}"
    )


_KNOWN = {"start": "the start of its partition", "event": "each entity's own time"}


def _inputs(name: str, dataset: DatasetSpec) -> Iterator[str]:
    if dataset.source:
        yield f"`{name}`: {_source(dataset.source)}"
    for view, source in dataset.references.items():
        yield f"`{name}`, as `{view}`: {_source(source)}"
    if dataset.inputs:
        read = (f"`{other}`{_lookback_text(given.lookback)}" for other, given in dataset.inputs.items())
        yield f"`{name}`: {join_words(read, 'and')}"


def _lookback_text(lookback: int) -> str:
    return f" ({lookback} partitions)" if lookback > 1 else ""


def _source(source: Source) -> str:
    return f"{source.description()}. {_meaning(source)}{_bad_rows_text(source)}"


def _meaning(source: Source) -> str:
    waits = f"is waited for, up to {format_duration(source.wait_for)}; then it {_MEANS[source.late]}"
    missing, empty = (_MEANS.get(value, waits) for value in (source.missing, source.empty))
    if missing == empty:
        return f"If missing or empty it {missing}."
    return f"If missing it {missing}; if empty it {empty}."


def _bad_rows_text(source: Source) -> str:
    if not source.max_bad_rows:
        return ""
    return f" Up to {source.max_bad_rows} malformed rows go to quarantine."


def _writes(spec: Pipeline, stage: str) -> Iterator[str]:
    tables = {"etl": list(spec.datasets), "score": ["predictions"], "monitor": ["profiles", "drift", "performance"]}
    if names := tables.get(stage):
        yield f"dataset{'s' * (len(names) > 1)} {join_words((f'`{name}`' for name in names), 'and')}"
    if stage == "features":
        yield "the online store"
    if stage == "train":
        yield f"versions of the model `{spec.model_name}`; every decision, also no, in the ledger"
    if stage == "rollback":
        yield "the champion, in the ledger, with your name and reason"
    yield f"event `{spec.pipeline}/{_EVENTS.get(stage, stage)}` when all of it is complete"


def _policy(spec: Pipeline, stage: str) -> Iterator[str]:
    if stage != "train" or not spec.train:
        return
    yield f"**Trains** {_reasons(spec.retrain)}"
    if spec.train.search or spec.train.early:
        yield f"**Before that:** {'; '.join(_search_text(spec.train))}."
    yield f"**Gates**, all of which a candidate must pass:\n\n{_list([gate.describe() for gate in spec.gates])}"
    yield f"**Promotion:** {_promotion(spec)}"
    old = f"trained more than {format_duration(spec.retention.models)} ago"
    unused = "neither champion nor the one before, and no prediction that is kept came from it"
    yield f"**Archived:** the files of a version {old}, if it is {unused}. Its evidence stays."


def _search_text(train: Train) -> Iterator[str]:
    if train.early:
        bound = train.early.at_least if train.early.at_least is not None else train.early.at_most
        side = "below" if train.early.at_least is not None else "above"
        yield f"a fit on {train.early.rows} rows is not worth continuing with {train.early.metric} {side} {bound:g}"
    if train.search:
        search = train.search
        yield (
            f"`{search.space}` is searched for the best {search.metric}: {search.trials} trials, "
            f"{format_duration(search.time)}"
        )


def _promotion(spec: Pipeline) -> str:
    how = "at once, without asking anybody"
    if spec.promotion.mode == "approval":
        who, time = join_words(spec.promotion.approvers), format_duration(spec.promotion.timeout)
        how = f"after {who} agreed, within {time}; silence rejects"
    if not spec.promotion.shadow:
        return how
    beside = _count(spec.promotion.shadow, "population")
    return f"after {beside} scored beside the champion, without serving, and judged once more on these; then {how}"


def _reasons(retrain: Retrain) -> str:
    when = retrain.when
    reasons = [
        *([f"{when.decay} populations have decayed"] if when.decay else []),
        *([f"{when.drift} partitions have drifted"] if when.drift else []),
        *([f"{_count(when.every, 'partition')} have passed"] if when.every else []),
        "somebody asks for it",
    ]
    cooldown = f"; never within {_count(retrain.cooldown, 'partition')} of a training" if retrain.cooldown else ""
    budget = f"; at most {retrain.budget.max} times in {retrain.budget.per} partitions" if retrain.budget else ""
    return f"when there is no champion yet, or {join_words(reasons)}{cooldown}{budget}."


def _failure(spec: Pipeline, stage: str) -> str:
    runbook = f"[runbook]({spec.runbook}). " if spec.runbook else ""
    if stage == "rollback":
        return f"{runbook}Open the failed task: its log names the object and what to do. The champion is what it was."
    again = f"`tradewind backfill {spec.pipeline} --from KEY --to KEY`, or clear the run"
    audit = (
        "After a failed audit its *Report* shows what is wrong; the rows are in quarantine. " if stage == "etl" else ""
    )
    return (
        f"{runbook}Open the failed task: its log names the object and what to do. {audit}"
        f"Remove the cause, then run the partition again: {again}. What had been published stays as it was."
    )


def _configuration(spec: Pipeline, stage: str, configuration: str | None) -> str:
    if stage != "etl":
        return (
            f"[Its whole configuration](/dags/{spec.pipeline}__etl) is in the documentation of `{spec.pipeline}__etl`."
        )
    if configuration is None:
        return ""
    return f"**Configuration**, each value with the file and line that it comes from:\n\n```yaml\n{configuration}```"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"

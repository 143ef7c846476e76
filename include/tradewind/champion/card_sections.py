"""The sections of a model card, each from the facts alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from tradewind.champion.card_limits import known_limits
from tradewind.metrics.metric_list import METRICS
from tradewind.pages.formatting import (
    NOTHING,
    describe_duration,
    first_few,
    format_count,
    format_number,
    partition_span,
)
from tradewind.pages.sections import Block, Facts, Grid, Items, Prose, Section
from tradewind.spec.fairness_gate import FairnessGate
from tradewind.verdict.training_background import OPTIMISTIC, describe_drift_seen
from tradewind.verdict.verdict_text import describe_bound

if TYPE_CHECKING:
    from tradewind.champion.card_facts import CardFacts
    from tradewind.ledger.champions import ChampionChange
    from tradewind.ledger.journal import Entry

UNKNOWN = "not recorded"
FAIRNESS = get_args(FairnessGate.model_fields["fairness"].annotation)
_TASKS = {
    "binary": "the probability that `{}` is true",
    "multiclass": "the probability of each class of `{}`",
    "regression": "the value of `{}`",
}
_ROWS = 200


def summary_section(facts: CardFacts) -> Section:
    """Who it is, what it is for, since when it serves, and who decided so."""
    spec, champion = facts.spec, facts.champion
    comment = str(champion.evidence.get("comment") or "")
    text = {
        "Purpose": spec.description,
        "Owner": spec.owner,
        "Serves": f"populations from {champion.effective_from} on",
        "Promoted": f"by {champion.actor}, {champion.at:%Y-%m-%d %H:%M} UTC, "
        + (f"at partition {champion.decided_at}" if champion.decided_at else "by hand"),
        "Reason": champion.reason,
        "Comment": comment or "none",
        "Replaces": f"version {facts.before.model_version}" if facts.before else "nobody: it is the first champion",
        "Pinned": f"by {facts.pin.actor}: {facts.pin.reason}" if facts.pin else "no",
    }
    blocks: list[Block] = [Facts(text)]
    if spec.train is not None and spec.score is not None:
        what = _TASKS[spec.train.task].format(spec.train.label.column)
        entity, ahead = spec.score.population.key, spec.score.ahead
        far = f", {format_count(ahead, spec.partition)} ahead" if ahead else ""
        whose = f"for every `{entity}` of a population{far}"
        blocks.append(Prose(f"It predicts {what} {whose}, and is meant for nothing else."))
    return Section("In short", blocks)


def limits_section(facts: CardFacts) -> Section:
    """What it cannot be trusted with."""
    return Section("Limits", [Items(known_limits(facts))])


def metrics_section(facts: CardFacts) -> Section:
    """Every metric on the test rows, with its interval."""
    if not facts.metrics:
        return Section("Metrics", [Prose(f"Metrics with intervals: {UNKNOWN}.")])
    rows = [
        [
            f"{name} {'↑' if METRICS[name].greater_is_better else '↓'}" if name in METRICS else name,
            format_number(one.get("value")),
            format_number(one.get("train")),
            _interval_text(one.get("low"), one.get("high"), missing=str(one.get("missing") or NOTHING)),
            _describe_row_count(one),
        ]
        for name, one in facts.metrics.items()
    ]
    note = "On its test rows; 90 % intervals by day; ↑ more is better, ↓ less is better."
    if facts.judged:
        note = f"Of version {facts.judged}, which was judged, and of which this is the refit. {note}"
    heard = "The further the training rows are ahead, the more it has learned by heart."
    return Section("Metrics", [
        Prose(note), Grid(("metric", "test rows", OPTIMISTIC, "interval of the test", "from"), rows), Prose(heard),
    ])  # fmt: skip


def training_reason_section(facts: CardFacts) -> Section:
    """Why it was trained, and how much of what drifted it has learned from."""
    behind = facts.decided.evidence if facts.decided else {}
    known = behind.get("why")
    blocks: list[Block] = [
        Prose(f"At {known['partition']}: {known['reason']}." if known else f"Why it was trained: {UNKNOWN}.")
    ]
    if known and known["numbers"]:
        blocks.append(Items(known["numbers"]))
    drifted = behind.get("drifted", {})
    if words := describe_drift_seen(drifted):
        blocks.append(Prose(words))
    if facts.judged:
        seen = f" The refit has learned from all of these {format_count(len(facts.fitted), 'partition')}."
        refitted = f"Version {facts.judged} passed the verdict and was then fitted once more on its whole window."
        blocks.append(Prose(refitted + seen))
    return Section("Why it was trained", blocks)


def gates_section(facts: CardFacts) -> Section:
    """Every verdict on it, gate by gate."""
    if not facts.verdicts:
        return Section("Verdict", [Prose(f"Verdict: {UNKNOWN}.")])
    blocks: list[Block] = []
    for entry in facts.verdicts:
        against = f"version {entry.evidence['champion']}" if entry.evidence["champion"] else "no champion"
        basis = "in the shadow" if entry.evidence.get("basis") == "shadow" else "on its test rows"
        text = f"At partition {entry.partition}, {basis}, against {against}: {entry.outcome}. {entry.reason}"
        blocks += [Prose(text), _gates_grid(gate for gate in entry.evidence["gates"] if not gate["slice"])]
    return Section("Verdict", blocks)


def slices_section(facts: CardFacts) -> Section:
    """How it does for parts of the rows."""
    sliced = [gate for gate in _gate_results(facts) if gate["slice"] or gate.get("relation") == "gap_at_most"]
    found = [gate for gate in sliced if gate["metric"] not in FAIRNESS]
    if not found:
        return Section("Slices", [Prose("No gate judges slices.")])
    shown = sorted(found, key=lambda gate: (gate["value"] is None, gate["gate"], gate["value"] or 0.0))
    return Section("Slices", [_gates_grid(shown[:_ROWS])])


def fairness_section(facts: CardFacts) -> Section:
    """How differently it treats groups."""
    found = [gate for gate in _gate_results(facts) if gate["metric"] in FAIRNESS]
    if not found:
        return Section("Fairness", [Prose("Not measured: the YAML has no `fairness` gate.")])
    return Section("Fairness", [_gates_grid(found)])


def calibration_section(facts: CardFacts) -> Section:
    """Whether its probabilities are what they say."""
    bins = facts.drawn.get("reliability", {}).get("candidate", ())
    if facts.spec.train and facts.spec.train.task == "regression":
        return Section("Calibration", [Prose("It predicts values, not probabilities.")])
    if not bins:
        return Section("Calibration", [Prose(f"Predicted and observed: {UNKNOWN}.")])
    rows = [
        [
            f"{format_number(one['low'])} to {format_number(one['high'])}",
            f"{one['rows']:,}",
            format_number(one["predicted"]),
            format_number(one["observed"]),
        ]
        for one in bins
    ]
    text = "Of the rows that were predicted between two values: the mean prediction, and the share that came true."
    return Section("Calibration", [Prose(text), Grid(("predicted", "rows", "mean predicted", "observed"), rows)])


def importance_section(facts: CardFacts) -> Section:
    """Permutation importance, the largest first."""
    if not facts.importance:
        return Section("What it relies on", [Prose(f"Importance: {UNKNOWN}.")])
    rows = [
        [str(one["feature"]), format_number(one["mean"]), format_number(one["std"])] for one in facts.importance[:15]
    ]
    text = "How much worse it gets when a column is shuffled, and the standard deviation of that. No cause is meant."
    return Section("What it relies on", [Prose(text), Grid(("column", "loss", "spread"), rows)])


def model_section(facts: CardFacts) -> Section:
    """What it is, and with what it was made."""
    train, made = facts.spec.train, facts.environment
    libraries = made.get("libraries") or {}
    params = facts.known.get("params", made.get("params"))
    text = {
        "Model": train.model if train else UNKNOWN,
        "Parameters": _describe_params(params),
        "Searched": _describe_search(facts.known.get("search")),
        "Features": train.service if train else UNKNOWN,
        "Seed": str((made.get("seeds") or {}).get("train", UNKNOWN)),
        "Stored with": train.serialization if train else UNKNOWN,
        "Code": str(made.get("code", UNKNOWN)),
        "Commit": str(made.get("git") or UNKNOWN),
        "Python": str(made.get("python", UNKNOWN)),
        "Libraries": ", ".join(f"{name} {version}" for name, version in libraries.items()) or UNKNOWN,
        "MLflow run": str(facts.known.get("mlflow_run_id") or facts.champion.evidence.get("mlflow_run_id") or UNKNOWN),
    }
    return Section("Model", [Facts(text)])


def data_section(facts: CardFacts) -> Section:
    """Which data it comes from, partition by partition."""
    known, train = facts.known, facts.spec.train
    delay = f", known {describe_duration(train.label.available_after)} later" if train else ""
    judged = facts.decided.evidence.get("rows") if facts.decided else None
    counts = {"fitted on": facts.rows.get("train_rows"), "tested on": facts.rows.get("test_rows"), "judged by": judged}
    text = {
        "Label": f"{train.label.column} of {train.label.dataset}{delay}" if train else UNKNOWN,
        "Fitted on": partition_span(facts.fitted) if facts.fitted else UNKNOWN,
        "Chosen on": partition_span(known["validation_partitions"])
        if known.get("validation_partitions")
        else "nothing",
        "Tested on": _describe_test_partitions(facts),
        "Rows": ", ".join(f"{what} {UNKNOWN if many is None else f'{many:,}'}" for what, many in counts.items()),
    }
    return Section("Data", [Facts(text), *_dataset_blocks(known)])


def _describe_test_partitions(facts: CardFacts) -> str:
    if facts.known.get("test_partitions"):
        return partition_span(facts.known["test_partitions"])
    if facts.judged and facts.decided:
        judged = partition_span(facts.decided.evidence["test_partitions"])
        return f"nothing: it has learned from all; version {facts.judged} was tested on {judged}"
    return UNKNOWN


def _dataset_blocks(known: Mapping[str, Any]) -> Iterator[Block]:
    """The datasets with their versions, and the digest of each partition."""
    digests: Mapping[str, Mapping[str, str]] = known.get("digests") or {}
    versions = known.get("versions") or {}
    if not digests:
        yield Prose(f"Datasets and digests: {UNKNOWN}.")
        return
    read = [
        [name, str(versions.get(name, NOTHING)), partition_span(sorted(keys)), f"{len(keys):,}"]
        for name, keys in digests.items()
    ]
    every = [[name, key, digest] for name, keys in digests.items() for key, digest in sorted(keys.items())]
    yield Grid(("dataset", "table version", "partitions", "number"), read)
    yield Grid(("dataset", "partition", "digest"), every[:_ROWS])
    if len(every) > _ROWS:
        yield Prose(f"… and {len(every) - _ROWS} more, in `evaluation/lineage.json` of the run.")


def history_section(facts: CardFacts) -> Section:
    """Who was champion before, what was rejected since, what persons said."""
    changes = [_change_row(one) for one in reversed(facts.changes)]
    blocks: list[Block] = [Grid(("change", "version", "from population", "by", "when", "why"), changes[:_ROWS])]
    said = {
        "Rejected since the champion before": [_verdict_line(one) for one in facts.rejected],
        "What persons answered": [
            f"{one.actor} {one.outcome} at {one.partition}: {one.reason}" for one in facts.answers
        ],
        "As a shadow": [f"{one.outcome} at {one.partition}: {one.reason}" for one in facts.shadows],
    }
    for title, lines in said.items():
        blocks += [Prose(f"{title}:"), Items(lines[-20:])] if lines else [Prose(f"{title}: nothing.")]
    return Section("History", blocks)


def reproduction_section(facts: CardFacts) -> Section:
    """How to make it again, and how to get rid of it."""
    spec, number_ = facts.spec, facts.champion.model_version
    steps = [f"To fit it again from the same data, and compare: `tradewind reproduce {spec.model_name}/{number_}`"]
    earlier = [one.model_version for one in reversed(facts.changes) if one.model_version != number_]
    if earlier:
        steps.append(f'To go back: `tradewind rollback {spec.pipeline} --to {earlier[0]} --reason "…"`')
    else:
        steps.append(f"There is no earlier champion to go back to; to stop it: `tradewind hold {spec.pipeline}`")
    steps.append(f"All that was ever decided: `tradewind history {spec.pipeline}`")
    return Section("Again, and back", [Items(steps)])


def _gate_results(facts: CardFacts) -> Sequence[Mapping[str, Any]]:
    return facts.decided.evidence["gates"] if facts.decided else ()


def _gates_grid(found: Iterable[Mapping[str, Any]]) -> Grid:
    rows = []
    for gate in found:
        signed = bool(gate.get("versus"))
        name = gate["gate"] + (f" · {gate['slice']}" if gate["slice"] else "")
        value, ends = format_number(gate["value"], sign=signed), _interval_text(gate["low"], gate["high"], signed)
        rows.append(
            [gate["outcome"], name, value, ends, describe_bound(gate), _describe_row_count(gate), gate["reason"]]
        )
    return Grid(("outcome", "gate", "value", "interval", "bound", "from", "reason"), rows)


def _interval_text(low: float | None, high: float | None, signed: bool = False, *, missing: str = NOTHING) -> str:
    return missing if low is None else f"{format_number(low, sign=signed)} to {format_number(high, sign=signed)}"


def _describe_row_count(one: Mapping[str, Any]) -> str:
    blocks = f", {format_count(int(one['blocks']), 'block')}" if one.get("blocks") else ""
    return f"{format_count(int(one['rows']), 'row')}{blocks}" if one.get("rows") else NOTHING


def _describe_params(params: Mapping[str, Any] | None) -> str:
    if params is None:
        return UNKNOWN
    return first_few((f"{name} = {value!r}" for name, value in params.items()), most=40) or "none"


def _describe_search(search: Mapping[str, Any] | None) -> str:
    if not search:
        return "no"
    return (
        f"{search['metric']} {format_number(search.get('value'))} was the best of "
        f"{format_count(int(search['trials']), 'trial')}"
    )


def _change_row(one: ChampionChange) -> list[str]:
    return [str(one.seq), one.model_version, one.effective_from, one.actor, f"{one.at:%Y-%m-%d %H:%M}", one.reason]


def _verdict_line(one: Entry) -> str:
    return f"version {one.subject} at {one.partition}: {one.reason}"

"""What one part of a pipeline demands of another: the checks that no single field can make."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path as FilePath
from zoneinfo import ZoneInfo, available_timezones

from tradewind.errors import InvalidPartitionKey
from tradewind.spec import cron, project, schedule
from tradewind.spec.alert_channels import ALERT_CHANNELS
from tradewind.spec.check_gates import check_gates
from tradewind.spec.check_sources import check_rows, check_sources, list_queries
from tradewind.spec.dataset_order import find_cycle
from tradewind.spec.drift_tests import DRIFT_TESTS
from tradewind.spec.metrics import find_impossible_value, find_metric_flaw, metric_info
from tradewind.spec.partitions import LONGEST
from tradewind.spec.pipeline import Pipeline
from tradewind.spec.policy import Performance
from tradewind.spec.problems import Finding, Path, nearest_word
from tradewind.spec.scalars import format_duration
from tradewind.spec.training import Early

# Tables that the stages write beside the user's own.
RESERVED = frozenset({"predictions", "shadow_predictions", "profiles", "drift", "performance"})
_CRON = re.compile(r"(?:[*\d,/-]+ +){4}[*\d,/-]+")

# A web address, or a path: what stands before the first slash of a path has no colon, so it is no other scheme.
_LINK = re.compile(r"(?:https?://|[^:/?#\x00-\x20\"'<>`]*(?:[/?#]|$))[^\x00-\x20\"'<>`]*", re.IGNORECASE)

_Check = Callable[[Pipeline], Iterator[Finding]]


def check_pipeline(spec: Pipeline, *, root: FilePath, unsure: Collection[str] = ()) -> list[Finding]:
    """Everything that is wrong between the parts of a pipeline.

    :param spec: a pipeline whose fields are right each by itself
    :param root: the project root, below which the named files must lie
    :param unsure: top-level fields that are wrong and stand in ``spec`` as a stand-in; checks that read them are left
        out
    """
    findings = [f for reads, run in _CHECKS if not set(reads) & set(unsure) for f in run(spec)]
    plain = set[str]()
    for path, name in named_files(spec):
        flaw = project.file_name_error(root, name, plain=plain)
        if flaw:
            findings.append(Finding(path, flaw[0], suggestion=flaw[1], on_key=path[0] == "metrics"))
    return findings


def _zone(spec: Pipeline) -> Iterator[Finding]:
    try:
        ZoneInfo(spec.timezone)
    except (LookupError, ValueError, OSError):
        near = nearest_word(spec.timezone, available_timezones())
        yield Finding(("timezone",), f"there is no time zone {spec.timezone!r}", suggestion=near)


def _runbook(spec: Pipeline) -> Iterator[Finding]:
    """It becomes a link in Airflow's pages, where a link of another kind would run as a script."""
    if spec.runbook is not None and not _LINK.fullmatch(spec.runbook):
        yield Finding(
            ("runbook",), "is not a link to a page", expected="an address with https:// or http://, or a path"
        )


def _range(spec: Pipeline) -> Iterator[Finding]:
    try:
        ZoneInfo(spec.timezone)
    except (LookupError, ValueError, OSError):
        return
    keys = [("start", spec.start), ("end", spec.end)]
    wrong = [*_bad_keys(spec, [(name, key) for name, key in keys if key is not None])]
    yield from wrong
    if not wrong and spec.end is not None and spec.end <= spec.start:
        yield Finding(("end",), f"must be later than `start` ({spec.start}): no partition would ever run")


def _bad_keys(spec: Pipeline, keys: list[tuple[str, str]]) -> Iterator[Finding]:
    for name, key in keys:
        try:
            spec.partitioning.bounds(key)
        except InvalidPartitionKey as exc:
            yield Finding((name,), str(exc))


def _schedule(spec: Pipeline) -> Iterator[Finding]:
    flaw = cron.cron_error(spec.schedule)
    if flaw:
        near = nearest_word(spec.schedule, cron.PRESETS) if not _CRON.search(spec.schedule) else None
        yield Finding(("schedule",), f"{spec.schedule!r}: {flaw}", suggestion=near)


def _ticks(spec: Pipeline) -> Iterator[Finding]:
    """A run gets the key of the partition that ended last, so each needs a tick before the next one ends."""
    if cron.cron_error(spec.schedule):
        return
    try:
        partition = schedule.never_run(spec.partitioning, spec.schedule)
    except InvalidPartitionKey:
        return
    if partition is not None:
        message = f"partition {partition} would never run: {spec.schedule!r} has no tick from its end to the next's"
        expected = f"a tick in every {spec.partition}, like `{schedule.EVERY[spec.partition]}`"
        yield Finding(("schedule",), message, expected=expected)


def _datasets(spec: Pipeline) -> Iterator[Finding]:
    for name, dataset in spec.datasets.items():
        place: Path = ("datasets", name)
        if name in RESERVED:
            yield Finding(place, f"Tradewind writes a dataset `{name}` itself; choose another name", on_key=True)
        for read in dataset.inputs:
            if read not in spec.datasets:
                near = nearest_word(read, set(spec.datasets) - {name})
                yield Finding((*place, "inputs", read), f"there is no dataset `{read}`", suggestion=near, on_key=True)
        views = [*dataset.inputs, *(["source"] if dataset.source else [])]
        for view in dataset.references:
            if view in views:
                path = (*place, "references", view)
                yield Finding(path, f"the SQL has another view called `{view}`; choose another name", on_key=True)


def _circle(spec: Pipeline) -> Iterator[Finding]:
    circle = find_cycle(spec.datasets)
    if circle:
        message = f"datasets read each other in a circle: {' → '.join(circle)}"
        yield Finding(("datasets", circle[0], "inputs", circle[1]), message, on_key=True)


def _label(spec: Pipeline) -> Iterator[Finding]:
    if spec.train and spec.train.label.dataset not in spec.datasets:
        name = spec.train.label.dataset
        path = ("train", "label", "dataset")
        yield Finding(path, f"there is no dataset `{name}`", suggestion=nearest_word(name, spec.datasets))


def _train_needs(*, field: str, why: str) -> _Check:
    def needs(spec: Pipeline) -> Iterator[Finding]:
        if spec.train and not getattr(spec, field):
            yield Finding((field,), f"is missing: {why}", at=("train",))

    return needs


def _training_less(spec: Pipeline) -> Iterator[Finding]:
    if not spec.train and spec.gates:
        yield Finding(("gates",), "has nothing to judge: there is no `train`", on_key=True)
    if not spec.train and spec.verdict != type(spec.verdict)():
        yield Finding(("verdict",), "has nothing to judge: there is no `train`", on_key=True)
    if not spec.train and spec.retrain != type(spec.retrain)():
        yield Finding(("retrain",), "has nothing to start: there is no `train`", on_key=True)


def _monitor(spec: Pipeline) -> Iterator[Finding]:
    for field in ("train", "score"):
        if spec.monitor and not getattr(spec, field):
            yield Finding((field,), f"is missing: `monitor` watches what `{field}` makes", at=("monitor",))


def _performance(spec: Pipeline) -> Iterator[Finding]:
    if spec.monitor is None or spec.train is None:
        return
    performance, path = spec.monitor.performance, ("monitor", "performance")
    wrong = find_metric_flaw(performance.metric, spec.train.task, (*path, "metric"), declared=spec.metrics)
    if wrong is not None:
        yield wrong
    else:
        yield from _bounded(spec, performance, path, "this would call only good partitions decayed")


def _before_the_verdict(spec: Pipeline) -> Iterator[Finding]:
    """The metrics of `search` and `early`."""
    if spec.train is None:
        return
    for name, part in (("search", spec.train.search), ("early", spec.train.early)):
        path: Path = ("train", name, "metric")
        wrong = find_metric_flaw(part.metric, spec.train.task, path, declared=spec.metrics) if part else None
        if wrong is not None:
            yield wrong
        elif isinstance(part, Early):
            yield from _bounded(spec, part, ("train", "early"), "this would stop only good candidates")


def _bounded(spec: Pipeline, part: Early | Performance, path: Path, otherwise: str) -> Iterator[Finding]:
    """Whether the one bound stands on the side of the metric that is worse."""
    known = metric_info(part.metric, spec.metrics)
    if known is None:
        return  # which is a finding already
    right = "at_least" if known.greater_is_better else "at_most"
    given = "at_least" if part.at_least is not None else "at_most"
    if given != right:
        which = "larger" if right == "at_least" else "smaller"
        message = f"{part.metric} is better when {which}: {otherwise}"
        yield Finding((*path, given), message, suggestion=right, on_key=True)
    else:
        yield from find_impossible_value(known, getattr(part, given), (*path, given))


def _kept_long_enough(spec: Pipeline) -> Iterator[Finding]:
    """A candidate that waits for its approval, or stands beside the champion, is not archived meanwhile."""
    kept, path = spec.retention.models, ("retention", "models")
    if spec.promotion.mode == "approval" and kept <= spec.promotion.timeout:
        waited = format_duration(spec.promotion.timeout)
        yield Finding(path, f"a candidate waits for its approval for up to {waited}", expected=f"more than {waited}")
    beside = spec.promotion.shadow * LONGEST[spec.partition]
    if spec.promotion.shadow and kept <= beside:
        message = (
            f"a candidate stands beside the champion for {spec.promotion.shadow} partitions ({format_duration(beside)})"
        )
        yield Finding(path, message, expected=f"more than {format_duration(beside)}")


def _promotion(spec: Pipeline) -> Iterator[Finding]:
    if spec.promotion.mode == "approval" and not spec.promotion.approvers:
        yield Finding(("promotion", "approvers"), "is missing: nobody could approve", at=("promotion", "mode"))
    if spec.promotion.mode == "automatic" and spec.promotion.approvers:
        message = "nobody is asked while `mode` is automatic"
        yield Finding(("promotion", "approvers"), message, expected="`mode: approval`, or no approvers", on_key=True)


def _retrain(spec: Pipeline) -> Iterator[Finding]:
    for field in ("decay", "drift"):
        if getattr(spec.retrain.when, field) and not spec.monitor:
            yield Finding(("retrain", "when", field), f"nothing measures {field}: there is no `monitor`", on_key=True)
    budget = spec.retrain.budget
    if budget and budget.max > budget.per:
        message = f"{budget.max} trainings in {budget.per} partitions is no limit: there is at most one a partition"
        yield Finding(("retrain", "budget", "max"), message)


def _alerts(spec: Pipeline) -> Iterator[Finding]:
    yield from _listed_names(("alerts", "channels"), spec.alerts.channels, ALERT_CHANNELS, what="alert channel")
    for field in ("decay", "drift"):
        if getattr(spec.alerts, field) and not spec.monitor:
            yield Finding(("alerts", field), f"nothing measures {field}: there is no `monitor`", on_key=True)


def _drift_tests(spec: Pipeline) -> Iterator[Finding]:
    if spec.monitor is not None:
        named = spec.monitor.drift.tests
        yield from _listed_names(("monitor", "drift", "tests"), named, DRIFT_TESTS, what="drift test")


def _listed_names(path: Path, names: Sequence[str], listed: Collection[str], *, what: str) -> Iterator[Finding]:
    """Names of a list of ours: each must be known, and stand there once."""
    for index, name in enumerate(names):
        if name not in listed:
            expected = f"one of {', '.join(sorted(listed))}"
            near = nearest_word(name, listed)
            yield Finding((*path, index), f"unknown {what} `{name}`", expected=expected, suggestion=near)
        elif name in names[:index]:
            yield Finding((*path, index), f"{what} `{name}` is named twice")


def named_files(spec: Pipeline) -> Iterator[tuple[Path, str]]:
    """Every file of the project that the YAML names."""
    for name, dataset in spec.datasets.items():
        yield ("datasets", name, "sql"), dataset.sql
        if dataset.expectations:
            yield ("datasets", name, "expectations"), dataset.expectations
    yield from list_queries(spec)
    if spec.features:
        yield ("features", "definitions"), spec.features.definitions
    if spec.score:
        yield ("score", "population", "sql"), spec.score.population.sql
    if spec.train:
        yield ("train", "model"), spec.train.model.rpartition(":")[0]
        if spec.train.search:
            yield ("train", "search", "space"), spec.train.search.space.rpartition(":")[0]
    for name, function in spec.verdict.heuristics.items():
        yield ("verdict", "heuristics", name), function.rpartition(":")[0]
    for function in spec.metrics:
        yield ("metrics", function), function.rpartition(":")[0]


# Each check with the top-level fields that it reads.
_CHECKS: tuple[tuple[tuple[str, ...], _Check], ...] = (
    (("timezone",), _zone),
    (("runbook",), _runbook),
    (("partition", "timezone", "start", "end"), _range),
    (("schedule",), _schedule),
    (("schedule", "partition", "timezone", "start", "end"), _ticks),
    (("datasets",), _datasets),
    (("datasets",), _circle),
    ((), check_sources),
    (("datasets",), check_rows),
    (("train", "datasets"), _label),
    (("train", "features"), _train_needs(field="features", why="`train` learns from them")),
    (("train", "score"), _train_needs(field="score", why="`train` takes its entities from `score.population`")),
    (("train", "gates"), _train_needs(field="gates", why="without a gate every candidate would pass")),
    (("train", "gates", "verdict", "retrain"), _training_less),
    (("monitor", "train", "score"), _monitor),
    (("monitor", "train", "metrics"), _performance),
    (("gates", "train", "verdict", "metrics"), check_gates),
    (("train", "metrics"), _before_the_verdict),
    (("promotion",), _promotion),
    (("promotion", "retention", "partition"), _kept_long_enough),
    (("retrain", "monitor"), _retrain),
    (("monitor",), _drift_tests),
    (("alerts", "monitor"), _alerts),
)

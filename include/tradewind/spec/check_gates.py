"""What gates demand of the metric, the task, and the columns that judge."""

from __future__ import annotations

from collections.abc import Iterator

from tradewind.spec.gates import UNITS_OF_TIME, CheckGate, FairnessGate, MetricGate
from tradewind.spec.metrics import MEASURES, task_metrics
from tradewind.spec.pipeline import Pipeline
from tradewind.spec.problems import Finding, Path, join_words, nearest_word


def check_gates(spec: Pipeline) -> Iterator[Finding]:
    """What is wrong with each gate where `train` and `verdict` are as they are."""
    task = spec.train.task if spec.train else "binary"
    for name in sorted({"champion", "majority"} & set(spec.verdict.heuristics)):
        message = f"`versus: {name}` means something else already; choose another name"
        yield Finding(("verdict", "heuristics", name), message, on_key=True)
    yield from _judged(spec)
    for index, gate in enumerate(spec.gates):
        path: Path = ("gates", index)
        if isinstance(gate, CheckGate):
            continue
        if isinstance(gate, FairnessGate):
            if task != "binary":
                message = f"fairness is defined here for two classes, and `train.task` is {task}"
                yield Finding((*path, "fairness"), message)
            else:
                yield from _share(gate, path)
        elif (wrong := metric_in(gate.metric, task, (*path, "metric"))) is not None:
            yield wrong
            continue
        else:
            yield from _bounds(gate, path)
            yield from _versus(spec, gate, path)
        yield from _columns(spec, gate, path)


def _judged(spec: Pipeline) -> Iterator[Finding]:
    """Gates that would let no candidate become the first champion, ever."""
    measuring = [gate for gate in spec.gates if not isinstance(gate, CheckGate)]
    expected = "a gate with `metric` and without `versus`, or against `majority` or a name of `verdict.heuristics`"
    if spec.gates and not measuring:
        message = "every gate is a `check`: nothing judges what the candidate predicts"
        yield Finding(("gates",), message, expected=expected, on_key=True)
    elif measuring and all(isinstance(gate, MetricGate) and gate.versus == "champion" for gate in measuring):
        message = "every gate compares with the champion: nothing would judge the first candidate, which has none"
        yield Finding(("gates",), message, expected=expected, on_key=True)


def metric_in(metric: str, task: str, path: Path) -> Finding | None:
    """A finding if the metric means nothing for the task."""
    if task in MEASURES[metric].tasks:
        return None
    return Finding(
        path, f"{metric} means nothing where `train.task` is {task}", expected=join_words(task_metrics(task))
    )


def value_out_of_range(metric: str, value: float | None, path: Path) -> Iterator[Finding]:
    """A finding if a metric can never have this value."""
    measure = MEASURES[metric]
    if value is not None and not measure.lowest <= value <= measure.highest:
        if measure.highest < float("inf"):
            yield Finding(path, f"{metric} lies between {measure.lowest:g} and {measure.highest:g}, found {value:g}")
        else:
            yield Finding(path, f"{metric} is never below {measure.lowest:g}, found {value:g}")


def _bounds(gate: MetricGate, path: Path) -> Iterator[Finding]:
    measure = MEASURES[gate.metric]
    if gate.versus is not None:
        bound = next(name for name in ("at_least", "at_most", "lower_bound", "upper_bound") if _given(gate, name))
        if measure.highest - measure.lowest <= 2 and abs(getattr(gate, bound)) >= measure.highest - measure.lowest:
            span = measure.highest - measure.lowest
            message = f"differences of {gate.metric} lie between -{span:g} and {span:g}"
            yield Finding((*path, bound), f"{message}, found {getattr(gate, bound):g}")
        return
    turned = {} if measure.higher_is_better else {"at_least": "at_most", "lower_bound": "upper_bound"}
    for field in ("at_least", "at_most", "lower_bound", "upper_bound"):
        if _given(gate, field) and field in turned:
            message = f"{gate.metric} is better when smaller: this would let only bad candidates pass"
            yield Finding((*path, field), message, suggestion=turned[field], on_key=True)
        else:
            yield from value_out_of_range(gate.metric, getattr(gate, field), (*path, field))
            yield from _met_by_all(gate, field, (measure.lowest, measure.highest), path)
    yield from _met_by_all(gate, "gap_at_most", (0.0, measure.highest - measure.lowest), path)


def _met_by_all(
    gate: MetricGate | FairnessGate, field: str, span: tuple[float, float], path: Path
) -> Iterator[Finding]:
    """A finding if a bound is the very end of what there can be: such a gate lets everybody pass."""
    name = gate.fairness if isinstance(gate, FairnessGate) else gate.metric
    least = field in ("at_least", "lower_bound")
    if getattr(gate, field) == span[0 if least else 1]:
        gap = "the gap of " if field == "gap_at_most" else ""
        message = f"every candidate meets this: {gap}{name} is never {'below' if least else 'above'}"
        yield Finding((*path, field), f"{message} {getattr(gate, field):g}")


def _share(gate: FairnessGate, path: Path) -> Iterator[Finding]:
    for field in ("at_least", "at_most"):
        value = getattr(gate, field)
        if value is not None and not 0 <= value <= 1:
            yield Finding((*path, field), f"{gate.fairness} lies between 0 and 1, found {value:g}")
        else:
            yield from _met_by_all(gate, field, (0.0, 1.0), path)


def _given(gate: MetricGate, field: str) -> bool:
    return getattr(gate, field) is not None


def _versus(spec: Pipeline, gate: MetricGate, path: Path) -> Iterator[Finding]:
    known = ["champion", "majority", *spec.verdict.heuristics]
    if gate.versus is not None and gate.versus not in known:
        message = f"nobody is called `{gate.versus}`"
        near = nearest_word(gate.versus, known)
        yield Finding((*path, "versus"), message, expected=f"{join_words(known)}, or a name of `verdict.heuristics`",
                      suggestion=near)  # fmt: skip


def _columns(spec: Pipeline, gate: MetricGate | FairnessGate, path: Path) -> Iterator[Finding]:
    if spec.train is None:
        return
    known = [*spec.train.columns, *spec.verdict.columns]
    asked = {"slice": gate.slice} if isinstance(gate, MetricGate) else {"group": gate.group}
    for field, column in asked.items():
        if column is not None and column not in known:
            expected = join_words(known) if known else "a column that `train.columns` or `verdict.columns` lists"
            message = f"`{column}` is not in `train.columns`, nor in `verdict.columns`"
            yield Finding((*path, field), message, expected=expected, suggestion=nearest_word(column, known))
    if gate.by not in UNITS_OF_TIME and gate.by not in known:
        units = [*UNITS_OF_TIME, *known]
        message = f"`{gate.by}` is not a unit of time, and no column that judges"
        yield Finding((*path, "by"), message, expected=join_words(units), suggestion=nearest_word(gate.by, units))

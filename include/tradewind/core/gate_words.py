"""Gates in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.spec.gates import BOUNDS, CheckGate, FairnessGate, MetricGate

if TYPE_CHECKING:
    from tradewind.spec.gates import Gate

_WHOSE = {"champion": "the champion's", "majority": "the majority's"}


def describe(gate: Gate) -> str:
    """The gate in words, for example ``roc_auc at least 0.6, for each origin``."""
    if isinstance(gate, CheckGate):
        return _check(gate)
    if isinstance(gate, FairnessGate):
        relation, bound = bound_of(gate)
        return f"{gate.fairness} of {gate.group} {_plainly(relation, bound)} (selected above {gate.threshold:g})"
    where = f", where {gate.where}" if gate.where else ""
    relation, bound = bound_of(gate)
    if relation == "gap_at_most":
        return f"{gate.metric} differs by at most {bound:g} between the values of {gate.slice}{where}"
    each = f", for each {gate.slice}" if gate.slice else ""
    return f"{gate.metric} {demand(gate)}{_end(gate, relation)}{each}{where}"


def bound_of(gate: MetricGate | FairnessGate) -> tuple[str, float]:
    """Which bound a gate has, and its value."""
    return next((name, bound) for name in BOUNDS if (bound := getattr(gate, name, None)) is not None)


def demand(gate: MetricGate | FairnessGate) -> str:
    """What its bound asks for, for example ``no worse than the champion's by more than 0.01``."""
    relation, bound = bound_of(gate)
    if isinstance(gate, MetricGate) and gate.versus is not None:
        return _compared(gate, relation, bound)
    return _plainly(relation, bound)


def whose(versus: str) -> str:
    """Whose metric the candidate's is compared with, for example ``the champion's``."""
    return _WHOSE.get(versus, f"{versus}'s")


def _plainly(relation: str, bound: float) -> str:
    return f"at {'least' if relation in ('at_least', 'lower_bound') else 'most'} {bound:g}"


def _compared(gate: MetricGate, relation: str, bound: float) -> str:
    other, size = whose(gate.versus or ""), f"{abs(bound):g}"
    if relation in ("at_least", "lower_bound"):
        if bound > 0:
            return f"better than {other} by at least {size}"
        return f"no worse than {other} by more than {size}" if bound < 0 else f"no worse than {other}"
    if bound > 0:
        return f"better than {other} by at most {size}, more is suspicious"
    return f"worse than {other} by at least {size}" if bound < 0 else f"no better than {other}"


def _end(gate: MetricGate, relation: str) -> str:
    end = {"lower_bound": "lower", "upper_bound": "upper"}.get(relation)
    return f" ({end} end of the {gate.confidence * 100:g} % interval by {gate.by})" if end else ""


def _check(gate: CheckGate) -> str:
    rows = f"{gate.rows} row{'' if gate.rows == 1 else 's'}"
    bound = f"{gate.at_most:g}" if gate.at_most is not None else ""
    return {
        "loads": f"loads in a clean process and predicts {rows}{f' within {bound} s' if bound else ''}",
        "schema": "schema is that of the feature service",
        "latency": f"latency of {rows} at most {bound} ms (95 % of batches, each at its fastest)",
        "size": f"size at most {bound} MB",
        "stability": f"stability: predictions move by at most {bound} under noise of {gate.noise:g} of the spread",
    }[gate.check]

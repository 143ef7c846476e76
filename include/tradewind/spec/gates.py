"""Gates: what a candidate must pass before it may become champion. The list of kinds, and how candidates are judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

from pydantic import Discriminator, Field, Tag

from tradewind.spec.base import Model
from tradewind.spec.check_gate import CheckGate
from tradewind.spec.fairness_gate import FairnessGate
from tradewind.spec.gate_kind import Gate, PredictionGate, ServingGate
from tradewind.spec.metric_gate import MetricGate
from tradewind.spec.scalars import FunctionPath, Integer, Name, Text

GATE_KINDS: tuple[type[Gate], ...] = (
    MetricGate,
    FairnessGate,
    CheckGate,
)
"""Every kind of gate. A gate that has none of their fields is taken for the first."""

SERVING_MEASURES = frozenset(
    name
    for kind in GATE_KINDS
    if issubclass(kind, ServingGate)
    for name in get_args(kind.model_fields[kind.kind].annotation)
)
"""What gates of serving measure; a verdict of these alone says nothing for a candidate."""


def _kind_tag(value: Any) -> str:
    """In angle brackets, so that the place of an error can be told from the fields around it."""
    if isinstance(value, Gate):
        return f"<{value.kind}>"
    named = value if isinstance(value, dict) else {}
    first, *others = (kind.kind for kind in GATE_KINDS)
    return f"<{next((kind for kind in others if kind in named), first)}>"


if TYPE_CHECKING:
    AnyGate = Gate
else:
    AnyGate = Annotated[
        reduce(or_, (Annotated[kind, Tag(f"<{kind.kind}>")] for kind in GATE_KINDS)), Discriminator(_kind_tag)
    ]
    """A gate of any kind; the field that names what is measured says which."""


_Kind = TypeVar("_Kind", bound=Gate)


def gates_of_kind(gates: Iterable[Gate], kind: type[_Kind]) -> list[tuple[int, _Kind]]:
    """The gates of one kind, each with its position."""
    return [(position, gate) for position, gate in enumerate(gates) if isinstance(gate, kind)]


def prediction_gates(gates: Iterable[Gate]) -> Mapping[int, PredictionGate]:
    """The gates that judge what models predict, by position."""
    return {position: gate for position, gate in enumerate(gates) if isinstance(gate, PredictionGate)}


def serving_gates(gates: Iterable[Gate]) -> Mapping[int, ServingGate]:
    """The gates that judge how the candidate serves, by position."""
    return {position: gate for position, gate in enumerate(gates) if isinstance(gate, ServingGate)}


class VerdictSpec(Model):
    """How candidates are judged."""

    columns: tuple[Text, ...] = Field(
        default=(),
        description="Columns of the label dataset that gates may use although the model does not see them.",
    )
    heuristics: dict[Name, FunctionPath] = Field(
        default={},
        description="Rules that a candidate can be compared with, by name: file.py:function, which takes the test rows "
        "as a frame and returns what a model would.",
    )
    correction: Literal["none", "bonferroni"] = Field(
        default="none",
        description="bonferroni: the intervals of all gates hold together with the stated confidence. All gates must "
        "pass anyway, so `none` does not let more bad candidates pass.",
    )
    resamples: Integer = Field(default=2000, ge=200, description="How often blocks are drawn again.")

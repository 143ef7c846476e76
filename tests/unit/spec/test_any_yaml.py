"""Whatever stands in the file: problems with positions, or a pipeline, and never a traceback."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind.spec.load import list_problems, load_pipeline

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**20),
    st.floats(),
    st.dates(),
    st.sampled_from(
        ["", "week", "x", "2 of 4", "2013-01-28", "a.py:b", "../x", "{day}", "{", "@daily", "roc_auc", "NO"]
    ),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(SCALARS, inner, max_size=2), max_leaves=4
)


def places(data: object, above: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [above, *(place for key, value in inside for place in places(value, (*above, key)))]


def put(data: object, place: tuple[object, ...], value: object) -> object:
    if not place:
        return value
    if isinstance(data, dict):
        return {key: put(item, place[1:], value) if key == place[0] else item for key, item in data.items()}
    assert isinstance(data, list)
    return [put(item, place[1:], value) if index == place[0] else item for index, item in enumerate(data)]


def examine(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        found = list_problems(path)
        lines = text.splitlines() or [""]
        for problem in found:
            assert 1 <= problem.line <= max(1, len(lines))
            assert problem.message
            assert "\n" in problem.text()
        if not found:
            assert load_pipeline(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_at_any_place_is_a_problem_with_a_position(data: st.DataObject, flights: str) -> None:
    tree = yaml.safe_load(flights)
    for _ in range(data.draw(st.integers(1, 3))):
        tree = put(tree, data.draw(st.sampled_from(places(tree))), data.draw(VALUES))
    examine(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    line=st.integers(0, 42),
    start=st.integers(0, 60),
    cut=st.integers(0, 20),
    text=st.text("{}[]:,-&*!|>'\"%@# \t\nab1é~<", max_size=6),
)
def test_any_slip_of_the_keyboard_is_a_problem_with_a_position(
    line: int, start: int, cut: int, text: str, flights: str
) -> None:
    lines = flights.splitlines()
    lines[line % len(lines)] = lines[line % len(lines)][:start] + text + lines[line % len(lines)][start + cut :]
    examine("\n".join(lines) + "\n")

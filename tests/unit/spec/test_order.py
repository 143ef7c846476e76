from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.errors import SpecError
from tradewind.spec.dataset_order import dataset_order, find_cycle
from tradewind.spec.pipeline import DatasetSpec


def datasets(**reads: str) -> dict[str, DatasetSpec]:
    made = {}
    for name, inputs in reads.items():
        given = {"inputs": {read: {} for read in inputs.split()}} if inputs else {"source": {"files": "x"}}
        made[name] = DatasetSpec.model_validate({"sql": "x.sql", **given})
    return made


def test_a_dataset_comes_after_all_that_it_reads() -> None:
    assert dataset_order(datasets(d="b c", b="a", c="a", a="")) == ["a", "b", "c", "d"]


def test_datasets_that_do_not_depend_on_each_other_stay_in_the_order_of_the_yaml() -> None:
    assert dataset_order(datasets(z="", a="", m="")) == ["z", "a", "m"]


def test_a_circle_is_named() -> None:
    with pytest.raises(SpecError, match="b → c → b"):
        dataset_order(datasets(a="", b="a c", c="b"))


def test_an_input_that_does_not_exist_is_named() -> None:
    with pytest.raises(SpecError, match=r"datasets\.b\.inputs\.x: there is no dataset `x`"):
        dataset_order(datasets(b="x"))


def test_a_circle_is_found_beside_inputs_that_do_not_exist() -> None:
    assert find_cycle(datasets(a="x b", b="a")) == ["a", "b", "a"]


@given(st.dictionaries(st.integers(0, 9), st.sets(st.integers(0, 9)), max_size=10))
def test_every_order_without_a_circle_keeps_all_inputs_first(graph: dict[int, set[int]]) -> None:
    # Reading only smaller numbers, nothing can be a circle.
    reads = {
        f"n{node}": " ".join(f"n{i}" for i in sorted(inputs) if i < node and i in graph)
        for node, inputs in graph.items()
    }
    made = datasets(**reads)

    order = dataset_order(made)

    assert sorted(order) == sorted(made)
    assert all(order.index(read) < order.index(name) for name, dataset in made.items() for read in dataset.inputs)

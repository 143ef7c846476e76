from __future__ import annotations

from datetime import timedelta

from tradewind.spec.digest import config_hash
from tradewind.spec.pipeline import DatasetSpec, Files
from tradewind.spec.training import Label, Train


def dataset(**fields: object) -> DatasetSpec:
    return DatasetSpec.model_validate({"sql": "a.sql", "source": {"files": "x"}, **fields})


def test_the_hash_is_the_same_in_every_process_and_release() -> None:
    # Whoever changes this value recomputes every dataset of every user.
    expected = "006acede55e89ec2959c673df91fa9bca1a6dc7b9bf88b33bae7e8dd09bbb085"
    assert config_hash(dataset(), "SELECT 1") == expected


def test_a_default_that_is_spelled_out_changes_nothing() -> None:
    assert config_hash(dataset(keys=[], expectations=None)) == config_hash(dataset())


def test_the_order_of_names_changes_nothing() -> None:
    one = dataset(inputs={"a": {"lookback": 2}, "b": {}})
    other = dataset(inputs={"b": {}, "a": {"lookback": 2}})
    assert config_hash(one) == config_hash(other)


def test_the_order_of_a_files_columns_changes_the_hash() -> None:
    one = Files(files="x", columns={"a": "BIGINT", "b": "BIGINT"})
    other = Files(files="x", columns={"b": "BIGINT", "a": "BIGINT"})
    assert config_hash(one) != config_hash(other)


def test_every_value_and_every_text_counts() -> None:
    hashes = [
        config_hash(dataset()),
        config_hash(dataset(sql="b.sql")),
        config_hash(dataset(keys=["a"])),
        config_hash(dataset(keys=["a", "b"])),
        config_hash(dataset(keys=["b", "a"])),
        config_hash(dataset(), "ab"),
        config_hash(dataset(), "a", "b"),
        config_hash(dataset(), "b", "a"),
        config_hash(dataset(), ""),
    ]
    assert len(set(hashes)) == len(hashes)


def test_single_values_and_several_parts_count() -> None:
    hashes = [config_hash(dataset(), *rest) for rest in ([], [None], [["a"]], [1], [1.5], [float("nan")], [dataset()])]
    assert len(set(hashes)) == len(hashes)
    assert config_hash(dataset(), dataset(keys=[])) == config_hash(dataset(keys=[]), dataset())


def test_durations_and_free_parameters_count() -> None:
    def train(**fields: object) -> str:
        label = Label(dataset="d", column="c", available_after=timedelta(hours=1))
        return config_hash(
            Train.model_validate({"window": 3, "test": 1, "service": "s", "label": label, "model": "m.py:f", **fields})
        )

    assert train() != train(params={"depth": 3})
    assert train(params={"depth": 3}) == train(params={"depth": 3})
    assert train() != train(label={"dataset": "d", "column": "c", "available_after": "2h"})

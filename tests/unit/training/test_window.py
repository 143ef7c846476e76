"""The window of a training: its parts, the gap before what judges, and what may be missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tradewind.training import window
from tradewind.training.window import TrainingWindow

LAST = "2013-03-04"
KEYS = ["2013-02-11", "2013-02-18", "2013-02-25", "2013-03-04"]


@pytest.fixture
def split(pipeline):
    """Splits the window of four weeks that ends on March 4th."""

    def split(*, published=KEYS, left_out=(), last: str = LAST, **changes: object) -> TrainingWindow:
        train = pipeline.train.model_copy(update=changes)
        spec = pipeline.model_copy(update={"train": train})
        return window.split_window(spec, last, published=published, left_out=dict.fromkeys(left_out, "strike"))

    return split


def test_the_last_partitions_judge_and_those_before_them_choose(split) -> None:
    found = split(validation=1)
    assert (found.fit, found.validation, found.test) == (tuple(KEYS[:2]), (KEYS[2],), (KEYS[3],))
    assert found.learned == tuple(KEYS[:3])
    assert found.keys == tuple(KEYS)
    assert (found.absent, found.missing) == ({}, ())


def test_without_validation_all_that_does_not_judge_is_learned_from(split) -> None:
    assert split(test=2) == TrainingWindow(tuple(KEYS[:2]), (), tuple(KEYS[2:]), {})


def test_every_partition_that_is_not_published_is_missing(split) -> None:
    found = split(published=[KEYS[0], KEYS[3]])
    assert found.missing == tuple(f"{key} (flights is not published)" for key in KEYS[1:3])


def test_what_is_left_out_is_not_missing_as_long_as_enough_remains(split) -> None:
    found = split(published=KEYS[1:], left_out=KEYS[:1])
    assert (found.fit, found.absent, found.missing) == (tuple(KEYS[1:3]), {KEYS[0]: "left out: strike"}, ())
    assert split(left_out=KEYS[:3]).missing == ("3 of 4 partitions are left out",)
    assert split(left_out=KEYS[:2], validation=1).missing == ("2 of 4 partitions are left out",)


def test_partitions_before_the_start_are_missing(split) -> None:
    found = split(last="2013-02-11", published=["2013-01-28", "2013-02-04", "2013-02-11"])
    assert found.missing == ("1 of 4 partitions lie before the pipeline's start 2013-01-28",)


def test_a_number_of_partitions_is_enough_and_the_last_that_are_there_judge(split) -> None:
    found = split(complete=3, published=KEYS[:3])
    assert (found.fit, found.test, found.missing) == (tuple(KEYS[:2]), (KEYS[2],), ())
    assert found.absent == {KEYS[3]: "flights is not published"}


def test_fewer_partitions_than_the_number_are_too_few_and_say_which(split) -> None:
    found = split(complete=3, published=KEYS[2:], left_out=KEYS[:1])
    assert found.missing == (
        "2 of 4 partitions are there, 3 are needed",
        f"{KEYS[0]} (left out: strike)",
        f"{KEYS[1]} (flights is not published)",
    )


def test_with_a_number_a_pipeline_trains_before_it_is_as_old_as_its_window(split) -> None:
    found = split(complete=3, last="2013-02-11", published=["2013-01-28", "2013-02-04", "2013-02-11"])
    assert (found.fit, found.test, found.missing) == (("2013-01-28", "2013-02-04"), ("2013-02-11",), ())
    assert found.absent == {"2013-01-21": "before the pipeline's start 2013-01-28"}


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({}, datetime(2013, 3, 3, 5, tzinfo=UTC)),  # a day before the week begins in New York: its label was not known
        ({"gap": timedelta(days=2)}, datetime(2013, 3, 2, 5, tzinfo=UTC)),
    ],
    ids=["available_after", "gap"],
)
def test_what_lies_in_the_gap_before_the_judges_is_not_learned_from(pipeline, changes, last) -> None:
    spec = pipeline.model_copy(update={"train": pipeline.train.model_copy(update=changes)})
    assert window.learned_until(spec, [LAST]) == last


def test_without_a_gap_all_rows_before_the_judges_are_learned_from(pipeline) -> None:
    label = pipeline.train.label.model_copy(update={"available_after": timedelta(0)})
    spec = pipeline.model_copy(update={"train": pipeline.train.model_copy(update={"label": label})})
    assert window.learned_until(spec, [LAST]) == datetime(2013, 3, 4, 4, 59, 59, 999999, tzinfo=UTC)


def test_rows_are_taken_by_their_own_time(framed) -> None:
    rows = framed(10)
    until = rows.table["at"][3].as_py()
    assert window.learnable_rows(rows, until=until).table["key"].to_pylist() == ["k0", "k1", "k2", "k3"]

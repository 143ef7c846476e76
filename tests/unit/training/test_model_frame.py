"""Rows reach a model as they were known, with stable types, and the same way in training and scoring."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tradewind.errors import MalformedInput, MissingInput, ModelError, Unavailable, UsageError
from tradewind.features.dataset_versions import newest_versions
from tradewind.training.model_frame import cast_model_inputs, population_frame, population_inputs, training_frame


def rows_of(house, number: int, **options):
    week = house.week(number)
    end = house.spec.partitioning.bounds(week).end
    versions = newest_versions(house.deployment, ["flights", "carrier_week"])
    return training_frame(
        house.deployment,
        [week],
        known_by=options.pop("known_by", end),
        versions=versions,
        **options,
    )


def share(house, number: int) -> dict[str, float]:
    table = house.lake.dataset("delays", "carrier_week").snapshot().arrow([house.week(number)]).to_table()
    return dict(zip(table["carrier"].to_pylist(), table["late_share"].to_pylist(), strict=True))


def joined(frame) -> dict[str, float]:
    pairs = zip(frame.table["carrier"].to_pylist(), frame.table["late_share"].to_pylist(), strict=True)
    return dict(set(pairs))


def population(house, number: int):
    versions = newest_versions(house.deployment, ["carrier_week"])
    return population_frame(house.deployment, house.week(number), versions=versions)


def scoring(house, **changes):
    return house.with_spec(score=house.spec.score.model_copy(update=changes))


def test_features_are_those_of_the_week_before(house) -> None:
    assert joined(rows_of(house, 3)) == share(house, 2)


def test_two_weeks_ahead_the_features_are_two_weeks_old(house) -> None:
    assert joined(rows_of(scoring(house, ahead=2), 3)) == share(house, 1)


def test_at_each_entitys_own_time_nothing_is_seen_that_its_run_did_not_know(house) -> None:
    assert joined(rows_of(scoring(house, predict_at="event"), 3)) == share(house, 2)


def test_training_and_scoring_see_the_same_of_the_same_entities(house) -> None:
    trained, scored = rows_of(house, 3, labelled=False), population(house, 3)
    assert trained.columns == scored.columns
    assert trained.inputs().equals(scored.inputs())


def test_a_label_that_is_not_known_yet_is_left_out(house) -> None:
    end = house.spec.partitioning.bounds(house.week(3)).end
    frame = rows_of(house, 3)
    assert pc.max(frame.table["scheduled_at"]).as_py() <= end - timedelta(days=1)
    assert frame.table.num_rows < rows_of(house, 3, known_by=end + timedelta(days=1)).table.num_rows


def test_a_row_without_a_label_is_left_out(house) -> None:
    end = house.spec.partitioning.bounds(house.week(3)).end
    frame = rows_of(house, 3, known_by=end + timedelta(days=1))
    assert frame.table.num_rows == 360
    assert frame.table["late"].null_count == 0


def test_without_labels_all_rows_are_there(house) -> None:
    frame = rows_of(house, 3, labelled=False)
    assert (frame.table.num_rows, frame.label, "late" in frame.table.column_names) == (400, None, False)


def test_inputs_are_floats_and_text_never_integers(house) -> None:
    inputs = population(house, 3).inputs()
    assert {str(field.type) for field in inputs.schema} == {"double", "string"}
    assert inputs.to_pandas().dtypes.astype(str).to_dict() == {
        "hour": "float64", "distance": "float64", "carrier": "object", "late_share": "float64", "flown": "float64",
    }  # fmt: skip


def test_a_column_that_no_model_takes_is_named() -> None:
    with pytest.raises(ModelError, match="column parts is list"):
        cast_model_inputs(pa.table({"parts": [[1, 2]]}))


def test_an_entity_that_is_there_twice_is_refused(house, deliver) -> None:
    deliver(house, 3, lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]))
    with pytest.raises(MalformedInput, match="more than once, for example 2013-02-18-0"):
        population(house, 3)


def test_an_entity_without_a_key_is_refused(house, deliver) -> None:
    def forget(rows: pa.Table) -> pa.Table:
        ids = rows["flight_id"].to_pylist()
        return rows.set_column(0, "flight_id", pa.array([None, *ids[1:]], pa.string()))

    deliver(house, 3, forget)
    with pytest.raises(MalformedInput, match="1 rows have no flight_id"):
        population(house, 3)


def test_a_population_that_is_not_what_was_hashed_is_tried_again(house, deliver) -> None:
    hashed = population_inputs(house.deployment, house.week(3))
    deliver(house, 3, lambda rows: rows.slice(1))
    versions = newest_versions(house.deployment, ["carrier_week"])
    with pytest.raises(Unavailable, match=r"2013-02-18\.csv changed while it was read"):
        population_frame(house.deployment, house.week(3), versions=versions, delivered=hashed)


def test_malformed_entities_are_put_aside_as_far_as_the_yaml_allows(house) -> None:
    path = Path(house.runtime.landing) / "schedule" / f"{house.week(3)}.csv"
    whole = population(house, 3).table.num_rows
    path.write_text(path.read_text() + "x,2013-02-18T12:00:00Z,AA,noon,7\n")
    with pytest.raises(MalformedInput, match=r"1 row is malformed, of \d+ .*column 'hour' is \"noon\""):
        population(house, 3)
    declared = house.spec.score.population.model_copy(update={"max_bad_rows": 1})
    assert population(scoring(house, population=declared), 3).table.num_rows == whole


def test_a_population_that_was_not_delivered_is_named(house) -> None:
    with pytest.raises(MissingInput, match=r"2013-05-06\.csv"):
        population(house, 14)


def test_a_column_that_the_population_lacks_is_named(house) -> None:
    train = house.spec.train.model_copy(update={"columns": ("hour", "runway")})
    with pytest.raises(ModelError, match="has no column runway"):
        population(house.with_spec(train=train), 3)


def test_the_label_cannot_be_an_input(house) -> None:
    train = house.spec.train.model_copy(update={"columns": ("hour", "late")})
    with pytest.raises(UsageError, match="label late is among"):
        rows_of(house.with_spec(train=train), 3)


def test_a_missing_partition_is_named(house) -> None:
    with pytest.raises(MissingInput, match="2013-05-06"):
        rows_of(house, 14)

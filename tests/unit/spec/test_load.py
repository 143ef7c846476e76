from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tradewind.errors import SpecError
from tradewind.spec.load import list_problems, load_pipeline

Write = Callable[[str], Path]
SOURCE = 'source: {files: "{landing}/{day}.csv", nulls: ["NA"]}'


def test_a_correct_pipeline_loads(flights: str, write: Write) -> None:
    spec = load_pipeline(write(flights))

    assert spec.pipeline == "flights"
    assert spec.start == "2013-01-28"
    assert spec.datasets["carriers"].inputs["flights"].lookback == 2
    assert spec.train is not None
    assert spec.train.label.available_after == timedelta(days=1)
    assert spec.partitioning.bounds(spec.start).start.isoformat() == "2013-01-28T05:00:00+00:00"


def test_the_error_shows_file_line_column_field_suggestion_and_a_caret(flights: str, write: Write) -> None:
    path = write(flights.replace('schedule: "0 6 * * 1"', 'schedul: "@daily"'))

    with pytest.raises(SpecError) as caught:
        load_pipeline(path)

    assert str(caught.value) == (
        f'{path}:8:1: schedul: unknown field; did you mean `schedule`?\n    8 | schedul: "@daily"\n      | ^^^^^^^'
    )


def test_all_problems_are_told_at_once_in_the_order_of_lines(flights: str, write: Write) -> None:
    text = flights.replace("partition: week", "partition: weekly").replace("lookback", "lookbak")
    text = text.replace("dataset: flights", "dataset: flight").replace("cooldown: 3", "cooldown:")
    text = text.replace("America/New_York", "America/New_Yrk").replace("include/features.py", "include/feature.py")

    found = list_problems(write(text))

    assert [problem.field for problem in found] == [
        "partition",
        "timezone",
        "datasets.carriers.inputs.flights.lookbak",
        "features.definitions",
        "train.label.dataset",
        "retrain.cooldown",
    ]


def test_what_a_wrong_part_would_have_held_is_not_reported_as_missing(flights: str, write: Write) -> None:
    found = list_problems(
        write(flights.replace("  definitions: include/features.py", "  definition: include/features.py"))
    )

    assert [problem.field for problem in found] == ["features.definition"]


def test_hours_start_at_a_key_with_an_hour(flights: str, write: Write) -> None:
    text = flights.replace("partition: week", "partition: hour").replace("start: 2013-01-28", "start: 2013-01-28T05")
    text = text.replace("end: 2013-07-01", "end: 2013-07-01T00").replace("0 6 * * 1", "@hourly")

    assert load_pipeline(write(text)).start == "2013-01-28T05"


def test_a_start_inside_a_partition_is_refused(flights: str, write: Write) -> None:
    (problem,) = list_problems(write(flights.replace("start: 2013-01-28", "start: 2013-01-28 05:30:00")))

    assert "'2013-01-28 05:30:00' is not a key of week partitions" in problem.message


def test_free_parameters_may_be_anything(flights: str, write: Write) -> None:
    spec = load_pipeline(
        write(flights.replace("  test: 2\n", "  test: 2\n  params: {depth: 3, shape: [1, {x: }], start: null}\n"))
    )

    assert spec.train is not None
    assert spec.train.params == {"depth": 3, "shape": [1, {"x": None}], "start": None}


def test_anchors_and_merge_keys_work(flights: str, write: Write) -> None:
    text = flights.replace(
        'source: {files: "{landing}/{day}.csv", nulls: ["NA"]}', 'source: &csv {files: "a", nulls: [NA]}'
    )
    text = text.replace("    inputs: {flights: {lookback: 2}}\n", "    source: {<<: *csv, files: b}\n")

    source = load_pipeline(write(text)).datasets["carriers"].source

    assert source is not None
    assert (source.files, source.nulls) == ("b", ("NA",))


def test_a_problem_in_what_was_merged_is_shown_where_it_is_written(flights: str, write: Write) -> None:
    text = flights.replace(
        'source: {files: "{landing}/{day}.csv", nulls: ["NA"]}', "source: &csv {files: a, nulls: NA}"
    )
    text = text.replace("    inputs: {flights: {lookback: 2}}\n", "    source: {<<: *csv, files: b}\n")

    found = list_problems(write(text))

    assert [(problem.line, problem.column) for problem in found] == [(11, 36), (11, 36)]


def test_a_file_that_does_not_exist_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    (problem,) = list_problems(tmp_path / "dags" / "nothing.yaml")

    assert problem.message == "cannot be read: No such file or directory"


def test_a_link_out_of_the_project_is_refused(flights: str, write: Write, tmp_path: Path) -> None:
    path = write(flights)
    outside = tmp_path.parent / f"{tmp_path.name}-outside.sql"
    outside.touch()
    (tmp_path / "include" / "carriers.sql").unlink()
    (tmp_path / "include" / "carriers.sql").symlink_to(outside)

    (problem,) = list_problems(path)

    assert problem.field == "datasets.carriers.sql"
    assert "a link that leaves the project" in problem.message


def test_a_folder_below_dags_belongs_to_the_same_project(flights: str, write: Write, tmp_path: Path) -> None:
    path = tmp_path / "dags" / "team" / "flights.yaml"
    path.parent.mkdir(parents=True)
    write(flights).rename(path)

    assert load_pipeline(path).pipeline == "flights"


def test_loading_imports_only_pydantic_yaml_and_the_library_of_the_schedule(flights: str, write: Write) -> None:
    code = (
        "import sys; from pathlib import Path; from tradewind.spec.load import load_pipeline; "
        "load_pipeline(Path(sys.argv[1]));"
        "print(*sorted({name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}", str(write(flights))],
        capture_output=True,
        text=True,
        check=True,
    )

    helpers = {"annotated_types", "cython_runtime", "typing_extensions", "typing_inspection", "pydantic_core"}
    loaded = {name for name in done.stdout.split() if not name.startswith(("_", "__"))} - helpers
    # croniter is what Airflow runs the schedule with, so it is there anyway; dateutil and six come with it.
    assert loaded - {"dateutil", "six"} == {"croniter", "pydantic", "tradewind", "yaml"}


@pytest.mark.parametrize("name", ["<pipeline", "<pipeline>", "<", "[key]"])
def test_a_field_whose_name_looks_like_none_is_a_problem_and_no_traceback(
    flights: str, write: Write, name: str
) -> None:
    found = list_problems(write(flights.replace("pipeline: flights", f'"{name}": flights')))
    assert found
    assert all(problem.line >= 1 for problem in found)

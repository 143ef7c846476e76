"""`tradewind new`: what it writes runs as it is."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tradewind.cli.main import command_line
from tradewind.errors import UsageError
from tradewind.scaffold import sample
from tradewind.scaffold.new_pipeline import create_pipeline
from tradewind.validation.pipeline import validate_pipelines
from tradewind.validation.user_code_process import UserCodeInProcess

SHOP = [
    "dags/shop.py",
    "dags/shop.yaml",
    "include/shop/expectations/deliveries.json",
    "include/shop/features.py",
    "include/shop/model.py",
    "include/shop/sql/deliveries.sql",
    "include/shop/sql/depot_day.sql",
    "include/shop/sql/planned.sql",
    "tests/test_shop.py",
]
PROJECT = [".gitignore", "dags/tradewind_upkeep.py", "docs/pipeline.schema.json"]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*arguments: str) -> Result:
    return CliRunner().invoke(command_line, ["new", *arguments])


def files(root: Path) -> Mapping[str, str]:
    found = (path for path in root.rglob("*") if path.is_file() and ".tradewind" not in path.parts)
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in found}


def test_a_new_pipeline_in_an_empty_folder_is_a_project_in_which_nothing_is_wrong(in_folder: Path) -> None:
    result = new("shop")
    assert result.exit_code == 0, result.output
    assert sorted(files(in_folder)) == sorted([*SHOP, *PROJECT])
    assert not [name for name, text in files(in_folder).items() if "my_pipeline" in text]
    assert [
        one for one in validate_pipelines([Path("dags/shop.yaml")], look=UserCodeInProcess) if one.severity == "error"
    ] == []
    assert "its partitions start with 2024-01-01 and end with 2024-01-10" in result.output
    assert (in_folder / ".tradewind").stat().st_mode & 0o077 == 0
    assert "tradewind backfill shop --missing --unpause" in result.output


def test_the_sample_is_the_same_every_time(in_folder: Path) -> None:
    new("shop")
    first = {path.name: path.read_bytes() for path in (in_folder / ".tradewind/landing/shop/deliveries").iterdir()}
    sample.deliver_sample(in_folder / "again")
    assert {path.name: path.read_bytes() for path in (in_folder / "again/deliveries").iterdir()} == first
    assert len(first) == 10


def test_nothing_is_written_over(in_folder: Path) -> None:
    assert new("shop").exit_code == 0
    (in_folder / "dags/shop.py").unlink()
    before = files(in_folder)
    result = new("shop")
    assert isinstance(result.exception, UsageError)
    assert "dags/shop.yaml, include/shop/expectations/deliveries.json" in str(result.exception)
    assert files(in_folder) == before


def test_a_second_pipeline_leaves_the_project_as_it_is(in_folder: Path) -> None:
    new("shop")
    (in_folder / ".gitignore").write_text("mine\n")
    before = files(in_folder)
    assert new("garden").exit_code == 0
    after = files(in_folder)
    assert {name: after[name] for name in before} == before
    assert validate_pipelines([Path("dags/garden.yaml"), Path("dags/shop.yaml")], look=UserCodeInProcess) == []


@pytest.mark.parametrize("name", ["Shop", "my-shop", "2shop", "shop__a", "airflow", "a" * 65])
def test_a_name_that_cannot_be_one_is_refused(name: str, in_folder: Path) -> None:
    assert isinstance(new(name).exception, UsageError)
    assert files(in_folder) == {}


ORDERS = """\
Order Id;placed;at;amount;note
1;2024-03-01 10:00:00;10:00:00;1.5;a
2;2024-03-01 23:30:00;11:00:00;NA;b
3;2024-03-03 00:30:00;12:00:00;2;c
"""


def test_one_file_is_cut_into_days_by_its_first_time(in_folder: Path) -> None:
    (in_folder / "orders.csv").write_text(ORDERS)
    result = new("shop", "--from", "orders.csv", "--timezone", "Europe/Lisbon")
    assert result.exit_code == 0, result.output
    written = files(in_folder)
    assert f"""\
start: 2024-03-01
end: 2024-03-04 # the first day without data; leave it out when data goes on
schedule: "0 6 * * *" # loads the day that ended

datasets:
  orders:
    source:
      files: "{in_folder}/orders.csv"
      # One file for all partitions: each reads it whole, and its SQL takes its own rows.
      delimiter: ";"
      nulls: ["NA"]
      # As read off the files. NOT NULL behind a type makes rows without a value malformed.
      columns:
        {{"Order Id": BIGINT, placed: TIMESTAMP, at: TIME, amount: DOUBLE, note: VARCHAR}}
    sql: include/shop/sql/orders.sql
""" in written["dags/shop.yaml"]
    assert (
        written["include/shop/sql/orders.sql"]
        == """\
-- One row a line of the file. Times that do not say their zone are taken for Europe/Lisbon.
SELECT
    "Order Id",
    placed AT TIME ZONE 'Europe/Lisbon' AS placed,
    "at"::VARCHAR AS "at",
    amount,
    note
FROM source
WHERE source.placed::TIMESTAMP AT TIME ZONE 'Europe/Lisbon' >= $partition_start AND \
source.placed::TIMESTAMP AT TIME ZONE 'Europe/Lisbon' < $partition_end
"""
    )
    assert validate_pipelines([Path("dags/shop.yaml")], look=UserCodeInProcess) == []


def test_the_days_of_times_with_a_zone_are_those_of_the_pipeline(in_folder: Path) -> None:
    rows = "id,placed\n1,2024-03-01T00:03:10+01:00\n2,2024-03-01T23:59:00+01:00\n"
    (in_folder / "orders.csv").write_text(rows)
    made = create_pipeline(
        in_folder, "shop", landing=in_folder, own=[in_folder / "orders.csv"], timezone="Europe/Berlin"
    )
    assert (made.start, made.last) == ("2024-03-01", "2024-03-01")


def test_a_file_beside_the_folder_is_named_without_dots_and_its_first_column_stands_for_the_keys(
    in_folder: Path,
) -> None:
    (in_folder / "raw").mkdir()
    (in_folder / "raw/sales-2024-03-01.csv").write_text("sale,amount\n1,2\n")
    assert new("shop", "--from", "dags/../raw/sales-2024-03-01.csv").exit_code == 2
    (in_folder / "dags").mkdir()
    assert new("shop", "--from", "dags/../raw/sales-2024-03-01.csv").exit_code == 0
    text = files(in_folder)["dags/shop.yaml"]
    assert f'files: "{in_folder.resolve()}/raw/sales-{{day}}.csv"' in text
    assert "# keys: [sale]" in text


@pytest.mark.parametrize(("zone", "told"), [("Europe/Berln", "`Europe/Berlin`"), ("Europe/Berlin", "--from")])
def test_a_zone_that_would_not_count_is_refused(zone: str, told: str, in_folder: Path) -> None:
    assert told in str(new("shop", "--timezone", zone).exception)
    assert files(in_folder) == {}


def test_files_of_days_are_found_beside_the_one_that_is_named(in_folder: Path) -> None:
    for day in ("2024-03-01", "2024-03-02", "2024-03-05"):
        (in_folder / f"sales-{day}.csv").write_text(f"id,day\n1,{day}\n")
    (in_folder / "shops.csv").write_text("shop,town\na,b\n")
    assert new("shop", "--from", "sales-2024-03-02.csv", "--from", "shops.csv").exit_code == 0
    text = files(in_folder)["dags/shop.yaml"]
    assert f'files: "{in_folder}/sales-{{day}}.csv"' in text
    assert "start: 2024-03-01\nend: 2024-03-06" in text
    assert "  shops:\n" in text
    assert validate_pipelines([Path("dags/shop.yaml")], look=UserCodeInProcess) == []


def test_days_of_eight_digits_are_found_too(in_folder: Path) -> None:
    for day in ("20240301", "20240302", "20249999"):
        (in_folder / f"sales_{day}_v2.csv").write_text("id,day\n1,x\n")
    assert new("shop", "--from", "sales_20240302_v2.csv").exit_code == 0
    text = files(in_folder)["dags/shop.yaml"]
    assert f'files: "{in_folder}/sales_{{day:%Y%m%d}}_v2.csv"' in text
    assert "start: 2024-03-01\nend: 2024-03-03" in text
    assert "  sales_v2:\n" in text
    assert validate_pipelines([Path("dags/shop.yaml")], look=UserCodeInProcess) == []


def test_files_that_tell_no_day_start_yesterday(in_folder: Path) -> None:
    (in_folder / "shops.csv").write_text("shop,town\na,b\n")
    made = create_pipeline(in_folder, "shop", landing=in_folder, own=[in_folder / "shops.csv"], today=date(2024, 5, 2))
    assert (made.start, made.last) == ("2024-05-01", None)
    assert validate_pipelines([Path("dags/shop.yaml")], look=UserCodeInProcess) == []


@pytest.mark.parametrize("text", ["", "1,2\n3,4\n"])
def test_a_file_without_a_header_is_refused(text: str, in_folder: Path) -> None:
    (in_folder / "rows.csv").write_text(text)
    result = new("shop", "--from", "rows.csv")
    assert isinstance(result.exception, UsageError)
    assert sorted(files(in_folder)) == ["rows.csv"]


def test_what_the_sample_shows_in_comments_is_right_too(in_folder: Path) -> None:
    new("shop")
    yaml = in_folder / "dags" / "shop.yaml"
    shown, count = re.subn(r"^  # (validation:|search:|- \{)", r"  \1", yaml.read_text(), flags=re.MULTILINE)
    assert count == 4
    yaml.write_text(shown)
    assert [one.text() for one in validate_pipelines([yaml], look=UserCodeInProcess) if one.severity == "error"] == []


@pytest.mark.parametrize("kind", ["hour", "week", "month"])
def test_the_sample_comes_in_periods_of_other_lengths(kind: str, in_folder: Path) -> None:
    result = new("shop", "--partition", kind)
    assert result.exit_code == 0, result.output
    text = files(in_folder)["dags/shop.yaml"]
    assert f"partition: {kind}\n" in text
    assert "day" not in text.replace("by: day", "")
    assert [
        one for one in validate_pipelines([Path("dags/shop.yaml")], look=UserCodeInProcess) if one.severity == "error"
    ] == []


def orders(folder: Path, names: Sequence[str], rows: int = 40) -> None:
    """Files with a key of two columns, a category, numbers, and times of a week each."""
    chance = random.Random(7)
    for number, name in enumerate(names):
        lines = ["order,line,placed,town,price,rebate,back"]
        for row in range(rows):
            price = chance.uniform(1, 90)
            back = str(chance.random() < price / 100).lower()
            rebate = "" if row % 8 == 0 else f"{chance.random():.2f}"
            town = chance.choice(["Bonn", "Faro"])
            placed = date(2024, 1, 1) + timedelta(weeks=number, days=row // 2 % 5)
            lines.append(f"{number}{row // 2:03},{row % 2},{placed} 10:00:00,{town},{price:.2f},{rebate},{back}")
        (folder / name).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("names", "options", "kind", "pattern", "start", "end"),
    [
        (["o-2024-01-01T00.csv", "o-2024-01-01T01.csv"], (), "hour", "o-{partition}.csv",
         "2024-01-01T00", "2024-01-01T02"),
        ([f"o-2024-01-01T{n:02}.csv" for n in range(24)], ("day",), "day", "o-{day}T*.csv", "2024-01-01", "2024-01-02"),
        ([f"o-2024-01-{n:02}.csv" for n in range(3, 19)], ("week",), "week", "o-{day}.csv", "2024-01-08", "2024-01-15"),
        ([f"o-2024-W{n:02}.csv" for n in (1, 2, 3)], (), "week", "o-{day:%G-W%V}.csv", "2024-01-01", "2024-01-22"),
        ([f"o-2024-01-{n:02}.csv" for n in (1, 8, 15)], (), "week", "o-{partition}.csv", "2024-01-01", "2024-01-22"),
        ([f"o-2024-{n:02}.csv" for n in (1, 2, 12)], (), "month", "o-{day:%Y-%m}.csv", "2024-01-01", "2025-01-01"),
        ([f"o2024{n:02}.csv" for n in (1, 2)], (), "month", "o{day:%Y%m}.csv", "2024-01-01", "2024-03-01"),
        ([f"o-2024-{n:02}-01.csv" for n in (1, 2, 3)], (), "month", "o-{partition}.csv", "2024-01-01", "2024-04-01"),
    ],
)  # fmt: skip
def test_the_period_of_files_is_that_of_partitions(
    names: list[str], options: tuple[str, ...], kind: str, pattern: str, start: str, end: str, in_folder: Path
) -> None:
    orders(in_folder, names)
    made = create_pipeline(
        in_folder, "shop", landing=in_folder / "l", own=[in_folder / names[0]], kind=next(iter(options), None)
    )
    text = files(in_folder)["dags/shop.yaml"]
    assert f"partition: {kind} #" in text
    assert f'files: "{in_folder}/{pattern}"' in text
    assert f"start: {start}\nend: {end} #" in text
    assert made.start == start
    assert [
        one for one in validate_pipelines([Path("dags/shop.yaml")], look=UserCodeInProcess) if one.severity == "error"
    ] == []


@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        (["o-2024-01.csv", "o-2024-02.csv"], "day", "holds a month; take --partition month"),
        (["o-2024-W01.csv"], "month", "there is one file a week; take --partition week"),
        (["o-2024-01-03.csv", "o-2024-01-04.csv"], "week", "the files hold no whole week"),
    ],
)
def test_files_that_do_not_fit_the_partitions_are_refused(
    names: list[str], kind: str, message: str, in_folder: Path
) -> None:
    orders(in_folder, names)
    result = new("shop", "--from", names[0], "--partition", kind)
    assert message in str(result.exception)
    assert sorted(files(in_folder)) == sorted(names)


def test_keys_checks_features_and_a_model_are_proposed_from_the_rows(in_folder: Path) -> None:
    orders(in_folder, ["o-2024-W01.csv", "o-2024-W02.csv"])
    assert new("shop", "--from", "o-2024-W01.csv").exit_code == 0
    written = files(in_folder)
    assert "    keys: [order, line]\n" in written["dags/shop.yaml"]
    assert "# train:" in written["dags/shop.yaml"]  # nobody has named a label
    suite = json.loads(written["include/shop/expectations/o.json"])["expectations"]
    checks = {
        (one["type"].removeprefix("expect_column_values_to_"), one["kwargs"].get("column")): one["kwargs"]
        for one in suite
    }
    assert checks["be_in_set", "town"]["value_set"] == ["Bonn", "Faro"]
    assert checks["not_be_null", "rebate"]["mostly"] == 0.75  # one in eight has none; twice as many may
    assert checks["not_be_null", "price"] == {"column": "price"}
    low, high = checks["be_between", "price"]["min_value"], checks["be_between", "price"]["max_value"]
    assert low == 0.0
    assert 90 < high < 150
    assert 'FeatureView(\n    name="o_by_town"' in written["include/shop/features.py"]
    assert 'CATEGORIES = ["town"]' in written["include/shop/model.py"]
    assert [
        one for one in validate_pipelines([Path("dags/shop.yaml")], look=UserCodeInProcess) if one.severity == "error"
    ] == []


@pytest.mark.parametrize(
    ("label", "task"),
    [("back", "binary"), ("price", "regression"), ("town", "multiclass"), ("placed", None), ("x", None)],
)
def test_a_label_makes_a_pipeline_with_a_model(label: str, task: str | None, in_folder: Path) -> None:
    orders(in_folder, [f"o-2024-W{number:02}.csv" for number in range(1, 9)])
    result = new("shop", "--from", "o-2024-W01.csv", "--label", label)
    if task is None:
        assert f"`{label}`" in str(result.exception)
        return
    assert result.exit_code == 0, result.output
    assert f"  task: {task}\n" in files(in_folder)["dags/shop.yaml"]
    assert [
        one.text()
        for one in validate_pipelines([Path("dags/shop.yaml")], look=UserCodeInProcess)
        if one.severity == "error"
    ] == []


def test_a_category_in_the_key_is_seen_by_the_model_and_the_rest_of_the_key_is_not(in_folder: Path) -> None:
    """A region beside a time names the row, and says what kind of row it is."""
    for week, day in (("W01", 1), ("W02", 8)):
        hours = [f"2024-01-{day:02} {hour:02}:00:00" for hour in range(24)]
        rows = [f"{at},{area},{hour % 5}.5,{hour}" for hour, at in enumerate(hours) for area in ("north", "west")]
        (in_folder / f"power-2024-{week}.csv").write_text("\n".join(["at,area,wind,price", *rows]) + "\n")
    assert new("power", "--from", "power-2024-W01.csv", "--label", "price").exit_code == 0
    written = files(in_folder)
    assert "    keys: [at, area]\n" in written["dags/power.yaml"]
    assert '  columns: ["area", "wind"]\n' in written["dags/power.yaml"]
    assert 'CATEGORIES = ["area"]' in written["include/power/model.py"]


def test_files_outside_the_landing_zone_are_told_to_be_named_by_paths_of_this_machine(in_folder: Path) -> None:
    landing = in_folder / ".tradewind" / "landing"
    landing.mkdir(parents=True)
    for folder in (in_folder, landing):
        orders(folder, ["o-2024-W01.csv"])
    hint = "by whole paths of this machine"
    assert hint not in " ".join(new("inside", "--from", str(landing / "o-2024-W01.csv")).output.split())
    assert hint in " ".join(new("outside", "--from", "o-2024-W01.csv").output.split())


def test_a_pattern_for_from_is_told_to_name_one_file(in_folder: Path) -> None:
    orders(in_folder, ["o-2024-W01.csv", "o-2024-W02.csv", "o-2024-W03.csv"])
    for arguments in (["o-*.csv"], ["o-2024-W01.csv", "o-2024-W02.csv", "o-2024-W03.csv"]):
        result = new("shop", "--from", *arguments)
        assert result.exit_code == 2
        told = " ".join(result.output.split())
        assert "name one of the files; those beside it that differ in their hour, day, week or month belong" in told
    assert "dags/shop.yaml" not in files(in_folder)
    other = new("shop", "more")
    assert (other.exit_code, "unexpected: more\n" in other.output) == (2, True)


@pytest.mark.slow
def test_a_pipeline_from_own_files_with_a_label_trains_and_serves(in_folder: Path) -> None:
    from tradewind.scaffold.rehearsal import Rehearsal

    landing = in_folder / ".tradewind" / "landing"
    landing.mkdir(parents=True)
    orders(landing, [f"o-2024-W{number:02}.csv" for number in range(1, 10)], rows=80)
    assert new("shop", "--from", str(landing / "o-2024-W01.csv"), "--label", "back").exit_code == 0
    assert 'files: "{landing}/o-{day:%G-W%V}.csv"' in files(in_folder)["dags/shop.yaml"]
    with Rehearsal(in_folder / "dags/shop.yaml", in_folder / "home", landing=str(landing)) as rehearsal:
        done = [rehearsal.run(key) for key in rehearsal.partitions()]
    assert done[-2]["train"] == "promoted"
    assert done[-1]["score"]["served_by"] == "champion"
    assert done[-1]["score"]["rows"] == 80


def test_the_written_test_finds_files_that_were_moved_into_the_landing_zone(in_folder: Path) -> None:
    (in_folder / "o-2024-03-01.csv").write_text("sale,amount\n1,2\n")
    assert new("shop", "--from", "o-2024-03-01.csv").exit_code == 0
    yaml, landing = in_folder / "dags/shop.yaml", in_folder / ".tradewind" / "landing"
    landing.mkdir(parents=True, exist_ok=True)
    (in_folder / "o-2024-03-01.csv").rename(landing / "o-2024-03-01.csv")
    yaml.write_text(yaml.read_text().replace(f'"{in_folder}/', '"{landing}/'))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_shop.py"]
    done = subprocess.run(command, cwd=in_folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [(), ("--partition", "hour"), ("--partition", "month"), ("--from", "orders.csv")], ids=" ".join
)
def test_the_test_that_is_written_passes(options: tuple[str, ...], in_folder: Path) -> None:
    (in_folder / "orders.csv").write_text(ORDERS)
    assert new("shop", *options).exit_code == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_shop.py"]
    done = subprocess.run(command, cwd=in_folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tradewind.errors import MalformedInput, MissingInput, SpecError
from tradewind.sources import files
from tradewind.sources.delivery import digest
from tradewind.spec.sources import Files
from tradewind.spec.partitions import Partitioning

WEEKS = Partitioning("week", "America/New_York", "2013-01-28")
DECLARED = Files(files="{landing}/{day}.csv", columns={"carrier": "VARCHAR", "flight": "BIGINT"})


def deliver(folder: Path, days: Sequence[str]) -> None:
    for day in days:
        (folder / f"{day}.csv").write_text("carrier,flight\nAA,1\n")


def resolve(landing: Path, pattern: str = "{landing}/{day}.csv") -> tuple[Path, ...]:
    return files.resolve(Files(files=pattern), "2013-01-28", partitioning=WEEKS, landing=str(landing))


def refused(tmp_path: Path, content: bytes, part: Files = DECLARED) -> str:
    path = tmp_path / "2013-01-30.csv"
    path.write_bytes(content)
    with pytest.raises(MalformedInput) as caught:
        files.check(part, [path])
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_week_needs_one_file_for_each_of_its_days(tmp_path: Path) -> None:
    deliver(tmp_path, WEEKS.days("2013-01-28"))
    found = resolve(tmp_path)
    assert [path.stem for path in found] == WEEKS.days("2013-01-28")
    files.check(DECLARED, found)


def test_every_missing_day_is_named(tmp_path: Path) -> None:
    deliver(tmp_path, ["2013-01-28", "2013-01-29", "2013-01-31", "2013-02-01", "2013-02-03"])
    with pytest.raises(
        MissingInput, match=r"2013-01-28: 2 of 7 files are missing: \S*2013-01-30.csv, \S*2013-02-02.csv"
    ):
        resolve(tmp_path)


def test_a_file_of_the_partition_is_found_by_its_key(tmp_path: Path) -> None:
    deliver(tmp_path, ["2013-01-28"])
    assert resolve(tmp_path, "{landing}/{partition}.csv") == (tmp_path / "2013-01-28.csv",)


def test_a_reference_file_has_no_day(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"the file is missing: \S*planes.csv"):
        resolve(tmp_path, "{landing}/planes.csv")


def test_an_unknown_placeholder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no placeholder \{dya\}"):
        resolve(tmp_path, "{landing}/{dya}.csv")


def test_a_file_of_no_bytes_is_refused(tmp_path: Path) -> None:
    assert "the file is empty" in refused(tmp_path, b"")


def test_a_header_without_rows_is_refused(tmp_path: Path) -> None:
    assert "a header but no row" in refused(tmp_path, b"carrier,flight\n")


def test_a_column_that_is_missing_and_one_too_many_are_named(tmp_path: Path) -> None:
    message = refused(tmp_path, b"carrier,fligth\nAA,1\n")
    assert "the header has no 'flight'; the header has 'fligth', which nobody declared" in message


def test_columns_in_another_order_are_refused(tmp_path: Path) -> None:
    assert "another order: flight, carrier" in refused(tmp_path, b"flight,carrier\n1,AA\n")


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    assert "names 'flight' more than once" in refused(tmp_path, b"flight,flight\n1,1\n")


def test_a_file_cut_off_in_its_last_value_is_refused(tmp_path: Path) -> None:
    assert "may be cut off" in refused(tmp_path, b"carrier,flight\nAA,1\nAA,12")


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    assert "not CSV text in UTF-8" in refused(tmp_path, b"PK\x03\x04\xff\xfe\x00")


def test_without_declared_columns_every_file_has_those_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.csv").write_text("y\n1\n")
    with pytest.raises(MalformedInput, match=r"b.csv: the header has no 'x'"):
        files.check(Files(files="-"), [tmp_path / "a.csv", tmp_path / "b.csv"])


def test_undeclared_columns_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    assert files.columns(Files(files="-"), [tmp_path / "a.csv"]) == {"x": "VARCHAR", "y": "VARCHAR"}


def test_the_digest_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    one, other, changed = (tmp_path / name for name in ("1.csv", "2.csv", "3.csv"))
    one.write_text("x\n1\n")
    other.write_text("x\n1\n")
    changed.write_text("x\n2\n")
    assert digest([one]) == digest([other])
    assert digest([one]) != digest([changed])
    assert digest([one, changed]) != digest([changed, one])

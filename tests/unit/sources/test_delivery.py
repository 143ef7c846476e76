"""What a delivery gives to SQL, and what becomes of its malformed rows."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind.engine.query import run_select
from tradewind.errors import MalformedInput, SpecError, TransformError, Unavailable
from tradewind.sources import file_headers
from tradewind.sources.delivery import Delivery, hash_delivery
from tradewind.sources.fetched import Fetched
from tradewind.sources.rejected_rows import exceeds_bad_row_limit
from tradewind.spec.source_files import Files

COLUMNS = {"id": "BIGINT NOT NULL", "name": "varchar", "day": "DATE"}
HEADER = "id,name,day\n"
GOOD = "1,x,2013-01-28\n"
JSON_ROW = b'{"id": 1, "name": "x", "day": "2013-01-28"}\n'
ROW = {"id": 1, "name": "x", "day": date(2013, 1, 28)}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": lambda data: bytes(pa.compress(data, "zstd", asbytes=True)),
}


class Shelf:
    """A folder with the files of one delivery."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0

    def put(self, *contents: str | bytes | pa.Table, packed: str = "", **fields: Any) -> Delivery:
        self.number += 1
        source = Files(**{"files": "-", "columns": COLUMNS, **fields})
        paths = []
        for content in contents:
            path = self.folder / f"{self.number}-{len(paths)}.{source.format}{packed}"
            if isinstance(content, pa.Table):
                pq.write_table(content, path)
            else:
                path.write_bytes(PACKED[packed](content.encode() if isinstance(content, str) else content))
            paths.append(path)
        names = tuple(f"{'abc'[number]}.{source.format}" for number in range(len(paths)))
        return hash_delivery(
            source, Fetched(tuple(paths), names, source.format, source.delimiter, source.nulls, source.limits)
        )

    def read(self, delivery: Delivery, sql: str = "SELECT * FROM source") -> list[dict[str, Any]]:
        """The rows, after sifting where that is needed, as a stage reads them."""
        (self.folder / "query.sql").write_text(sql)
        try:
            return self._select(delivery)
        except TransformError as exc:
            if not exc.running:
                raise
            sifted = self.sift(delivery)
            if sifted == delivery:
                raise
            return self._select(sifted)

    def sift(self, delivery: Delivery) -> Delivery:
        self.number += 1
        scratch = self.folder / f"scratch-{self.number}"
        scratch.mkdir()
        return delivery.sift("source", scratch=scratch, quarantine=self.quarantine)

    def bad(self, delivery: Delivery) -> list[tuple[str, int, str, str]]:
        """File, line, reason and text of the malformed rows."""
        bad = self.sift(delivery).bad
        if bad is None:
            return []
        rows = pq.read_table(bad.path).to_pylist()
        assert len(rows) == bad.count
        assert {row["view"] for row in rows} == {"source"}
        return [(row["file"], row["line"], row["reason"], row["text"]) for row in rows]

    @property
    def quarantine(self) -> Path:
        return self.folder / "quarantine"

    def _select(self, delivery: Delivery) -> list[dict[str, Any]]:
        with run_select(self.folder / "query.sql", {"source": delivery.view()}, parameters={}) as rows:
            found: list[dict[str, Any]] = rows.read_all().to_pylist()
        return found


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def parquet(**columns: Any) -> pa.Table:
    return pa.table(columns)


# What is read


@pytest.mark.parametrize("packed", list(PACKED))
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_packed_and_plain_files_have_the_same_rows(shelf: Shelf, kind: str, packed: str) -> None:
    text = HEADER + GOOD if kind == "csv" else '{"id": 1, "name": "x", "day": "2013-01-28"}\n'
    assert shelf.read(shelf.put(text, text, format=kind, packed=packed)) == [ROW, ROW]


def test_parquet_is_read_as_declared(shelf: Shelf) -> None:
    table = pa.table({"day": [date(2013, 1, 28)], "name": ["x"], "id": pa.array([1], pa.int16())})
    delivery = shelf.put(table, format="parquet")
    assert shelf.read(delivery) == [ROW]
    assert shelf.read(delivery, "SELECT typeof(id) AS t FROM source") == [{"t": "BIGINT"}]


def test_columns_are_found_by_their_names_in_any_order(shelf: Shelf) -> None:
    delivery = shelf.put("day,id,name\n2013-01-28,1,x\n", HEADER + GOOD)
    assert [list(row) for row in shelf.read(delivery)] == [list(COLUMNS)] * 2
    assert shelf.read(delivery) == [ROW, ROW]


def test_undeclared_columns_of_csv_are_text(shelf: Shelf) -> None:
    assert shelf.read(shelf.put("x,y\n1,2\n", columns={})) == [{"x": "1", "y": "2"}]


def test_undeclared_columns_of_other_formats_have_their_types(shelf: Shelf) -> None:
    lines = '{"x": 1}\n{"x": 2, "y": 0.5}\n'
    rows = [{"x": 1, "y": None}, {"x": 2, "y": 0.5}]
    assert shelf.read(shelf.put(lines, columns={}, format="jsonl")) == rows
    table = parquet(x=[1, 2], y=[None, 0.5])
    assert shelf.read(shelf.put(table, columns={}, format="parquet")) == rows


def test_delimiter_and_nulls_are_as_the_yaml_says(shelf: Shelf) -> None:
    delivery = shelf.put("id;name;day\n1;NA;-\n", delimiter=";", nulls=("NA", "-"))
    assert shelf.read(delivery) == [{"id": 1, "name": None, "day": None}]


def test_lists_and_structs_of_json_are_values(shelf: Shelf) -> None:
    columns = {"id": "BIGINT", "tags": "VARCHAR[]", "at": "STRUCT(x DOUBLE, y DOUBLE)"}
    line = '{"id": 1, "tags": ["a", "b"], "at": {"x": 1, "y": 2.5}}\n{"id": 2}\n'
    assert shelf.read(shelf.put(line, columns=columns, format="jsonl")) == [
        {"id": 1, "tags": ["a", "b"], "at": {"x": 1.0, "y": 2.5}},
        {"id": 2, "tags": None, "at": None},
    ]


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (HEADER + GOOD, {}),
        (HEADER + GOOD + "q,,\n", {"max_bad_rows": 1}),
        (JSON_ROW, {"format": "jsonl", "new_columns": "take"}),
        (pa.table({name: [value] for name, value in ROW.items()}), {"format": "parquet"}),
    ],
)
def test_folders_that_look_like_columns_say_nothing_of_the_rows(tmp_path: Path, content: Any, fields: Any) -> None:
    shelf = Shelf(tmp_path / "name=y" / "month=1")
    shelf.folder.mkdir(parents=True)
    assert shelf.read(shelf.put(content, **fields)) == [ROW]


@pytest.mark.parametrize("number", [10**13 + 1, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_whole_numbers_of_any_length_are_exact(shelf: Shelf, number: int) -> None:
    delivery = shelf.put(f"{HEADER}{number},x,\n")
    assert shelf.read(delivery) == [{"id": number, "name": "x", "day": None}]
    assert shelf.bad(delivery) == []


def test_rows_with_different_line_breaks_are_all_read(shelf: Shelf) -> None:
    assert shelf.read(shelf.put(HEADER + "1,x,2013-01-28\r\n" + GOOD)) == [ROW, ROW]


def test_a_type_that_does_not_exist_is_named(shelf: Shelf) -> None:
    with pytest.raises(SpecError, match=r"columns.id: DuckDB has no type 'BIGNT'"):
        shelf.put(HEADER + GOOD, columns={**COLUMNS, "id": "BIGNT"}).view()


def test_an_error_of_the_sql_is_not_the_deliverys(shelf: Shelf) -> None:
    with pytest.raises(TransformError, match=r"query.sql: .*Could not convert string 'x'"):
        shelf.read(shelf.put(HEADER + GOOD), "SELECT name::INT FROM source")


# Columns that are not those declared


CSV_MORE, CSV_LESS = "id,name,day,z\n1,x,2013-01-28,7\n", "id,name\n1,x\n"
JSON_MORE, JSON_LESS = '{"id": 1, "name": "x", "day": null, "z": 7}\n', '{"id": 1, "name": "x"}\n'


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [
        ("csv", CSV_MORE, "a.csv: there is 'z', which `columns` does not name (`new_columns: take` would take it). "
         "Found: id, name, day, z; declared: id, name, day"),
        ("csv", CSV_LESS, "a.csv: there is no column 'day'. Found: id, name; declared: id, name, day"),
        ("jsonl", JSON_MORE, "a.jsonl, line 1: there is 'z', which `columns` does not name"),
        ("jsonl", JSON_LESS, "a.jsonl: there is no column 'day' in any row. Found: id, name; declared: id, name, day"),
        ("parquet", parquet(id=[1], name=["x"], day=[date(2013, 1, 28)], z=[7]), "a.parquet: there is 'z', which"),
        ("parquet", parquet(id=[1], name=["x"]), "a.parquet: there is no column 'day'. Found: id, name; declared: id"),
        ("parquet", parquet(id=["1"], name=["x"], day=[date(2013, 1, 28)]),
         "a.parquet: column 'id' is VARCHAR, but BIGINT is declared"),
        ("parquet", parquet(id=[1.0], name=["x"], day=[date(2013, 1, 28)]),
         "a.parquet: column 'id' is DOUBLE, but BIGINT is declared"),
    ],
)  # fmt: skip
def test_a_new_a_missing_and_a_changed_column_are_told_with_both_sides(
    shelf: Shelf, kind: str, content: str | pa.Table, told: str
) -> None:
    with pytest.raises(MalformedInput) as caught:
        shelf.read(shelf.put(content, format=kind, max_bad_rows="100%"))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "content", "value"),
    [
        ("csv", CSV_MORE, "7"),
        ("jsonl", '{"id": 1, "name": "x", "day": "2013-01-28", "z": 7}\n', 7),
        ("parquet", parquet(id=[1], name=["x"], day=[date(2013, 1, 28)], z=[7]), 7),
    ],
)
def test_a_new_column_is_taken_when_the_yaml_says_so(shelf: Shelf, kind: str, content: Any, value: object) -> None:
    assert shelf.read(shelf.put(content, format=kind, new_columns="take")) == [{**ROW, "z": value}]


def test_a_column_of_some_files_is_null_in_the_others(shelf: Shelf) -> None:
    rows = shelf.read(shelf.put(CSV_MORE, HEADER + GOOD, new_columns="take"))
    assert sorted(rows, key=str) == sorted([{**ROW, "z": "7"}, {**ROW, "z": None}], key=str)
    one, other = parquet(x=[1]), parquet(x=[2], y=["b"])
    rows = shelf.read(shelf.put(one, other, columns={}, format="parquet", new_columns="take"))
    assert sorted(rows, key=str) == [{"x": 1, "y": None}, {"x": 2, "y": "b"}]


def test_without_declared_columns_every_file_has_those_of_the_first(shelf: Shelf) -> None:
    with pytest.raises(MalformedInput, match=r"b.csv: there is no column 'x'; there is 'y', which the first file"):
        shelf.put("x\n1\n", "y\n1\n", columns={}).view()


def test_a_column_of_another_type_in_a_later_file_is_told(shelf: Shelf) -> None:
    with pytest.raises(MalformedInput, match=r"b.parquet: column 'x' is VARCHAR, but BIGINT is in an earlier file"):
        shelf.put(parquet(x=[1]), parquet(x=["a"]), columns={}, format="parquet").view()


def test_a_column_named_twice_is_refused(shelf: Shelf) -> None:
    with pytest.raises(MalformedInput, match="names 'ID', 'id' more than once"):
        shelf.put("id,ID\n1,1\n").view()


# Files that are not whole


@pytest.mark.parametrize("packed", [".gz", ".zst"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_packed_file_that_is_cut_off_is_refused(shelf: Shelf, kind: str, packed: str, cut: int) -> None:
    lines = HEADER + GOOD * 20_000 if kind == "csv" else '{"id": 1, "name": "x", "day": "2013-01-28"}\n' * 20_000
    whole = PACKED[packed](lines.encode())
    delivery = shelf.put(lines, format=kind, packed=packed, max_bad_rows="100%")
    delivery.fetched.paths[0].write_bytes(whole[:-cut])
    with pytest.raises(
        MalformedInput, match=rf"a.{kind} cannot be unpacked: .*cut off or damaged, so deliver it again"
    ):
        delivery.view()


def test_text_with_the_name_of_a_packed_file_is_refused(shelf: Shelf) -> None:
    delivery = shelf.put(HEADER + GOOD, packed=".gz")
    delivery.fetched.paths[0].write_text(HEADER + GOOD)
    with pytest.raises(MalformedInput, match=r"a.csv cannot be unpacked"):
        delivery.view()


def test_a_csv_file_cut_off_in_its_last_value_is_refused(shelf: Shelf) -> None:
    for packed in PACKED:
        with pytest.raises(MalformedInput, match=r"a.csv: the last line has no line break, so the file may be cut off"):
            shelf.put(HEADER + "1,x,2013-01-2", packed=packed).view()


def test_a_parquet_file_that_is_cut_off_or_something_else_is_refused(shelf: Shelf) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(parquet(x=[1]), sink)
    for content in (sink.getvalue().to_pybytes()[:-9], b"", b"x,y\n1,2\n"):
        with pytest.raises(MalformedInput, match=r"a.parquet: this is not a whole Parquet file: .*; deliver it again"):
            shelf.put(content, columns={}, format="parquet").view()


def test_bytes_that_are_not_text_are_refused(shelf: Shelf) -> None:
    with pytest.raises(MalformedInput, match=r"a.csv: this is not CSV text in UTF-8"):
        shelf.put(b"PK\x03\x04\xff\xfe\x00\n\n").view()


# Malformed rows

BAD = {
    "a value of another type": ("q,x,2013-01-28", "column 'id' is \"q\", which is not of type BIGINT"),
    "a fraction": ("1.5,x,2013-01-28", "column 'id' is \"1.5\", which is not of type BIGINT"),
    "a small fraction": ("1.000001,x,2013-01-28", "column 'id' is \"1.000001\", which is not of type BIGINT"),
    "a fraction with an exponent": ("5e-1,x,2013-01-28", "column 'id' is \"5e-1\", which is not of type BIGINT"),
    "a fraction that a DOUBLE loses": (
        f"{2**52 + 1}.5,x,",
        f"column 'id' is \"{2**52 + 1}.5\", which is not of type BIGINT",
    ),
    "a number that is too large": (f"{2**63},x,", f"column 'id' is \"{2**63}\", which is not of type BIGINT"),
    "no date": ("1,x,28/01/2013", "column 'day' is \"28/01/2013\", which is not of type DATE"),
    "two flaws": (
        "q,x,y",
        "column 'id' is \"q\", which is not of type BIGINT; column 'day' is \"y\", which is not of type DATE",
    ),
    "too few fields": ("1,x", "2 fields where the header has 3"),
    "too many fields": ("1,x,2013-01-28,9", "4 fields where the header has 3"),
    "an open quote": ('1,"x,2013-01-28', "a quote is not closed, or stands in the wrong place"),
    "text behind a quote": ('1,"x"y,2013-01-28', "a quote is not closed, or stands in the wrong place"),
    "null": (",x,2013-01-28", "column 'id' is NULL, but declared NOT NULL"),
    "a spelled null": ("NA,x,2013-01-28", "column 'id' is NULL, but declared NOT NULL"),
}


@pytest.mark.parametrize(
    ("defect", "packed"), [*((defect, "") for defect in BAD), ("a fraction", ".gz"), ("an open quote", ".zst")]
)
def test_a_malformed_row_of_csv_goes_aside_with_file_line_and_reason(shelf: Shelf, defect: str, packed: str) -> None:
    line, reason = BAD[defect]
    second = f'{HEADER}1,"x\ny",2013-01-28\n{line}\n{GOOD}'
    delivery = shelf.put(HEADER + GOOD, second, packed=packed, nulls=("NA",), max_bad_rows=1)
    assert shelf.bad(delivery) == [("b.csv", 4, reason, line)]
    rows = shelf.read(delivery, "SELECT name, count(*)::INT AS n FROM source GROUP BY ALL ORDER BY n")
    assert rows == [{"name": "x\ny", "n": 1}, {"name": "x", "n": 2}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": "q"}', "column 'id' is \"q\", which is not of type BIGINT"),
        ('{"id": 1.5}', "column 'id' is \"1.5\", which is not of type BIGINT"),
        ('{"id": 0.00001}', "column 'id' is \"1e-05\", which is not of type BIGINT"),
        ('{"id": true}', "column 'id' is \"true\", which is not of type BIGINT"),
        ('{"id": 1, "tags": 7}', "column 'tags' is \"7\", which is not of type VARCHAR[]"),
        ('{"name": "x"}', "column 'id' is NULL, but declared NOT NULL"),
        ('{"id": 1, "name":', "it is not JSON"),
        ('{"id": 1}{"id": 2}', "it is not JSON"),
        ('[{"id": 1}]', "it is JSON, but not an object with columns"),
        ("null", "it is JSON, but not an object with columns"),
    ],
)
def test_a_malformed_line_of_json_goes_aside_with_file_line_and_reason(shelf: Shelf, line: str, reason: str) -> None:
    columns = {"id": "BIGINT NOT NULL", "name": "VARCHAR", "tags": "VARCHAR[]"}
    good = '{"id": 1, "name": "x", "tags": []}\n'
    delivery = shelf.put(good, f"{good}\n{line}\n{good}", format="jsonl", columns=columns, max_bad_rows=1)
    assert shelf.bad(delivery) == [("b.jsonl", 3, reason, line)]
    assert shelf.read(delivery) == [{"id": 1, "name": "x", "tags": []}] * 3


def test_bytes_that_are_not_utf8_make_their_row_malformed(shelf: Shelf) -> None:
    delivery = shelf.put(HEADER.encode() + b"1,\xff,\n" + GOOD.encode(), max_bad_rows=1)
    assert shelf.bad(delivery) == [("a.csv", 2, "it is not UTF-8", "1,\ufffd,")]
    lines = shelf.put(b'{"id": 1, "name": "\xff", "day": null}\n' + JSON_ROW, format="jsonl", max_bad_rows=1)
    assert shelf.bad(lines) == [("a.jsonl", 1, "it is not UTF-8", '{"id": 1, "name": "\ufffd", "day": null}')]


def test_a_null_of_parquet_goes_aside_with_the_number_of_its_row(shelf: Shelf) -> None:
    delivery = shelf.put(parquet(id=[1, None, 3]), columns={"id": "BIGINT NOT NULL"}, format="parquet", max_bad_rows=1)
    assert shelf.bad(delivery) == [("a.parquet", 2, "column 'id' is NULL, but declared NOT NULL", '{"id":null}')]
    assert shelf.read(delivery) == [{"id": 1}, {"id": 3}]


def test_a_row_is_malformed_also_where_the_sql_leaves_the_column_out(shelf: Shelf) -> None:
    for text in ("1,x,nope\n", "1.5,x,\n", ",x,\n"):
        with pytest.raises(MalformedInput, match=r"a.csv, line 3: column"):
            shelf.read(shelf.put(HEADER + GOOD + text), "SELECT count(*) FROM source")


@pytest.mark.parametrize("sql", ["SELECT * FROM source WHERE name = 'x'", "SELECT name FROM source WHERE id > 0"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_row_is_malformed_also_where_the_sql_leaves_it_out(shelf: Shelf, kind: str, sql: str) -> None:
    content: dict[str, Any] = {
        "csv": HEADER + GOOD + ",y,\n",
        "jsonl": JSON_ROW + b'{"name": "y"}\n',
        "parquet": parquet(id=[1, None], name=["x", "y"], day=pa.array([None, None], pa.date32())),
    }
    with pytest.raises(MalformedInput, match="1 row is malformed, of 2"):
        shelf.read(shelf.put(content[kind], format=kind), sql)


def test_a_row_of_nulls_is_a_row(shelf: Shelf) -> None:
    assert shelf.read(shelf.put("x,y\n,\n1,2\n", columns={"x": "BIGINT", "y": "BIGINT"})) == [
        {"x": None, "y": None}, {"x": 1, "y": 2}
    ]  # fmt: skip


def test_more_malformed_rows_than_allowed_are_counted_and_the_first_are_told(shelf: Shelf) -> None:
    delivery = shelf.put(HEADER + GOOD, HEADER + GOOD + "a,,\nb,,\nc,,\nd,,\n", max_bad_rows=3)
    with pytest.raises(MalformedInput) as caught:
        shelf.read(delivery)
    (kept,) = shelf.quarantine.iterdir()
    assert str(caught.value) == (
        "`source`: 4 rows are malformed, of 6 (`max_bad_rows: 3`): "
        "b.csv, line 3: column 'id' is \"a\", which is not of type BIGINT; "
        "b.csv, line 4: column 'id' is \"b\", which is not of type BIGINT; "
        f"b.csv, line 5: column 'id' is \"c\", which is not of type BIGINT; and 1 more. All of them: {kept}"
    )
    assert [row["text"] for row in pq.read_table(kept).to_pylist()] == ["a,,", "b,,", "c,,", "d,,"]


def test_rows_that_are_long_are_taken_a_few_at_a_time(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.sources.rejected_rows._CHARACTERS", len(GOOD))
    delivery = shelf.put(HEADER + GOOD * 5 + "q,,\n" + GOOD * 2, max_bad_rows=1)
    assert shelf.read(delivery) == [ROW] * 7
    assert [line for _, line, _, _ in shelf.bad(delivery)] == [7]


def test_the_same_malformed_rows_are_kept_once(shelf: Shelf) -> None:
    delivery = shelf.put(HEADER + GOOD + "a,,\n", max_bad_rows=1)
    shelf.sift(delivery)
    again = shelf.sift(delivery)
    assert again.bad
    assert list(shelf.quarantine.iterdir()) == [again.bad.path]
    assert (again.bad.count, again.bad.rows) == (1, 2)


@pytest.mark.parametrize(
    ("count", "rows", "most", "over"),
    [(0, 9, 0, False), (1, 9, 0, True), (3, 9, 3, False), (1, 200, "0.5%", False), (2, 399, "0.5%", True),
     (9, 9, "100%", False)],
)  # fmt: skip
def test_a_limit_is_a_number_or_a_share(count: int, rows: int, most: int | str, *, over: bool) -> None:
    assert exceeds_bad_row_limit(count, rows, most) is over


def test_an_open_quote_takes_no_other_row_with_it(shelf: Shelf) -> None:
    """DuckDB's own reject tables lose nearly all of them, and count one."""
    lines = [f"{number},name {number},2013-01-28\n" for number in range(50_000)]
    lines[100] = '100,"name,2013-01-28\n'
    delivery = shelf.put(HEADER + "".join(lines), max_bad_rows=1)
    assert shelf.bad(delivery) == [("a.csv", 102, BAD["an open quote"][1], lines[100].rstrip())]
    assert shelf.read(delivery, "SELECT count(*)::INT AS n, count(DISTINCT id)::INT AS ids FROM source") == [
        {"n": 49_999, "ids": 49_999}
    ]


# Files that change


def rewrite(path: Path) -> None:
    path.write_text(HEADER + "2,x,2013-01-28\n")


def replace_by_another(path: Path) -> None:
    other = path.with_name("other")
    other.write_text(HEADER + "2,x,2013-01-28\n")
    other.replace(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [(rewrite, "changed"), (replace_by_another, "changed"), (Path.unlink, "disappeared")],
)
def test_a_file_that_changes_while_it_is_read_is_tried_again(
    shelf: Shelf, change: Callable[[Path], object], told: str
) -> None:
    delivery = shelf.put(HEADER + GOOD, HEADER + GOOD)
    delivery.confirm()
    change(delivery.fetched.paths[1])
    with pytest.raises(Unavailable, match=rf"b.csv {told} while it was read"):
        delivery.confirm()


def test_a_file_that_disappears_before_it_is_hashed_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"x.csv disappeared"):
        hash_delivery(Files(files="-"), Fetched((tmp_path / "x.csv",), ("x.csv",), "csv"))


def test_a_file_that_is_only_touched_is_the_same_file(shelf: Shelf) -> None:
    delivery = shelf.put(HEADER + GOOD)
    delivery.fetched.paths[0].touch()
    delivery.confirm()


def test_a_malformed_row_of_a_file_that_is_being_written_is_no_malformed_row(shelf: Shelf) -> None:
    delivery = shelf.put(HEADER + GOOD)
    delivery.fetched.paths[0].write_text(HEADER + GOOD + "1,x\n")
    with pytest.raises(Unavailable, match=r"a.csv changed"):
        shelf.read(delivery)


def test_the_digest_is_of_the_content_and_not_of_the_place(shelf: Shelf) -> None:
    one, other, changed = (shelf.put(f"x\n{number}\n").digest for number in (1, 1, 2))
    assert one == other != changed
    assert shelf.put("x\n1\n", "x\n2\n").digest != shelf.put("x\n2\n", "x\n1\n").digest


# Whatever rows there are

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters='\n",'), max_size=6)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(-(2**63), 2**63 - 1),
            "small": st.none() | st.integers(-(2**15), 2**15 - 1),
            "name": st.none() | TEXTS.filter(lambda text: text not in ("", "NA")),
            "price": st.none() | st.decimals(-999, 999, places=2),
            "day": st.none() | st.dates(date(1900, 1, 1), date(2200, 1, 1)),
        }
    ),
    min_size=1,
    max_size=12,
)
KINDS = {"id": "BIGINT NOT NULL", "small": "SMALLINT", "name": "VARCHAR", "price": "DECIMAL(9,2)", "day": "DATE"}
SCHEMA = pa.schema(
    [("id", pa.int64()), ("small", pa.int16()), ("name", pa.string()), ("price", pa.decimal128(9, 2)),
     ("day", pa.date32())]
)  # fmt: skip
ANY = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([list(KINDS), *(["" if row[k] is None else row[k] for k in KINDS] for row in rows)])
    return file.getvalue()


def as_lines(rows: Sequence[dict[str, Any]]) -> str:
    plain = ({k: str(v) if isinstance(v, date | Decimal) else v for k, v in row.items()} for row in rows)
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in plain)


def ordered(rows: Sequence[dict[str, Any]]) -> list[str]:
    return sorted(repr([row[name] for name in KINDS]) for row in rows)


# What is too much, or in no form that could be read


KIND_ROWS = {"csv": "a,at\n{0},{1}\n", "jsonl": '{{"a": "{0}", "at": "{1}"}}\n'}


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("length", [131_073, 1_999_000])
def test_a_long_text_is_read_wherever_it_stands(shelf: Shelf, length: int, place: int) -> None:
    values = ["x", "x"]
    values[place] = "y" * length
    text = "a,b\n" + "".join(f"{value},1\n" for value in values)
    rows = shelf.read(shelf.put(text, columns={"a": "VARCHAR", "b": "BIGINT"}))
    assert sorted(len(row["a"]) for row in rows) == [1, length]


@pytest.mark.parametrize("place", [0, 1])
def test_a_row_that_is_too_long_is_malformed_wherever_it_stands(shelf: Shelf, place: int) -> None:
    values = ["x", "x"]
    values[place] = "y" * 2_000_001
    text = "a,b\n" + "".join(f"{value},1\n" for value in values)
    delivery = shelf.put(text, columns={"a": "VARCHAR", "b": "BIGINT"}, max_bad_rows=1)
    assert [(line, reason) for _, line, reason, _ in shelf.bad(delivery)] == [
        (place + 2, "it is longer than 2,000,000 characters")
    ]
    assert shelf.read(delivery) == [{"a": "x", "b": 1}]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_more_columns_than_the_limit_are_refused_at_once(shelf: Shelf, kind: str) -> None:
    names = [f"c{number}" for number in range(5000)]
    contents = {
        "csv": f"{','.join(names)}\n{','.join('1' for _ in names)}\n",
        "jsonl": json.dumps(dict.fromkeys(names, 1)) + "\n",
        "parquet": pa.table({name: [1] for name in names}),
    }
    delivery = shelf.put(contents[kind], columns={}, format=kind)
    with pytest.raises(MalformedInput, match=rf"a\.{kind}: .* columns are more than 4,096; .*`limits: {{columns: …}}`"):
        delivery.view()
    assert shelf.put(contents[kind], columns={}, format=kind, limits={"columns": 6000}).view()


def test_json_lines_of_many_keys_have_a_column_for_each(shelf: Shelf) -> None:
    row = {f"c{number}": number for number in range(300)}
    assert shelf.read(shelf.put(json.dumps(row) + "\n", columns={}, format="jsonl")) == [row]
    different = "".join(json.dumps({"id": 1, f"k{number}": 1}) + "\n" for number in range(5000))
    with pytest.raises(MalformedInput, match=r"4,097 columns are more than 4,096"):
        shelf.put(different, columns={}, format="jsonl").view()


def test_a_header_of_a_million_names_is_refused(shelf: Shelf) -> None:
    text = ",".join(f"c{number}" for number in range(1_000_000))
    with pytest.raises(MalformedInput, match=r"a\.csv, line 1: this is not a header: it is longer than 2,000,000"):
        shelf.put(f"{text}\n", columns={}).view()


def test_a_difference_of_many_columns_is_told_in_short(shelf: Shelf) -> None:
    names = [f"c{number}" for number in range(4000)]
    with pytest.raises(MalformedInput, match=r"c49 and 3950 more") as caught:
        shelf.put(f"{','.join(names)}\n").view()
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("packed", [".gz", ".zst"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_file_that_unpacks_to_very_much_is_refused(shelf: Shelf, kind: str, packed: str) -> None:
    blank = (HEADER if kind == "csv" else "") + "\n" * 70_000_000
    delivery = shelf.put(blank, format=kind, packed=packed, limits={"unpacked": 300})
    words = r"unpacked it is more than 300 times as large as the \d+ kB that were delivered, and more than 67 MB"
    with pytest.raises(MalformedInput, match=words):
        delivery.view()
    with pytest.raises(MalformedInput, match=words):
        file_headers.refuse_empty_files(delivery.source, delivery.fetched)


def test_a_file_of_many_equal_rows_may_be_allowed(shelf: Shelf) -> None:
    text = HEADER + GOOD * 5_000_000
    with pytest.raises(MalformedInput, match=r"`limits: {unpacked: …}`"):
        shelf.put(text, packed=".gz").view()
    assert shelf.put(text, packed=".gz", limits={"unpacked": 2000}).view()


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32", "UTF-32")],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_another_encoding_is_named(shelf: Shelf, kind: str, encoding: str, name: str) -> None:
    text = HEADER + GOOD if kind == "csv" else JSON_ROW.decode()
    delivery = shelf.put(text.encode(encoding), format=kind)
    words = rf"a\.{kind}: the file is {name}, and UTF-8 is expected"
    with pytest.raises(MalformedInput, match=words):
        delivery.view()
    with pytest.raises(MalformedInput, match=words):
        file_headers.refuse_empty_files(delivery.source, delivery.fetched)


@pytest.mark.parametrize("columns", [{"id": "BIGINT", "a": "VARCHAR"}, {"id": "BIGINT", "a": "INT[]"}])
def test_json_of_great_depth_is_a_value_or_a_malformed_row(shelf: Shelf, columns: dict[str, str]) -> None:
    deep = "[" * 200_000 + "]" * 200_000
    text = f'{{"id": 1, "a": 2}}\n{{"id": 2, "a": {deep}}}\n'
    delivery = shelf.put(text, columns=columns, format="jsonl", max_bad_rows=2)
    assert {row["id"] for row in shelf.read(delivery)} == ({1, 2} if columns["a"] == "VARCHAR" else set())
    with pytest.raises(MalformedInput, match="lists or objects lie too deep inside each other"):
        shelf.put(text, columns=columns, format="jsonl", new_columns="take").view()


FAR = ["infinity", "-infinity", "0044-03-15 (BC) 00:00:00+00", "290000-01-01 00:00:00+00"]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("type_", ["TIMESTAMPTZ", "TIMESTAMP", "DATE"])
@pytest.mark.parametrize("time", FAR)
def test_a_time_that_other_programs_cannot_hold_is_malformed(shelf: Shelf, kind: str, type_: str, time: str) -> None:
    row = KIND_ROWS[kind]
    head, line = row.rpartition("{0}")[0].rpartition("\n")[0] or "", row.splitlines()[-1]
    text = (f"{head}\n" if head else "") + "".join(
        f"{line.format(number, at)}\n" for number, at in enumerate(["2013-01-28T05:00:00Z", time])
    )
    columns = {"a": "VARCHAR", "at": type_}
    delivery = shelf.put(text, columns=columns, format=kind, max_bad_rows=1)
    [(_, number, reason, _)] = shelf.bad(delivery)
    assert number == (3 if kind == "csv" else 2)
    assert reason.startswith("column 'at' is \"")
    assert [row["a"] for row in shelf.read(delivery)] == ["0"]


def test_such_a_time_in_parquet_is_malformed_too(shelf: Shelf) -> None:
    times = pa.array([0, 2**63 - 1, 9_000_000_000_000_000_000], pa.timestamp("us", "UTC"))
    delivery = shelf.put(pa.table({"at": times}), columns={"at": "TIMESTAMPTZ"}, format="parquet", max_bad_rows=2)
    assert [line for _, line, _, _ in shelf.bad(delivery)] == [2, 3]
    assert len(shelf.read(delivery)) == 1


ZONELESS = ["2013-01-28 05:00:00", "2013-01-28", "2013-01-28T05:00:00.123"]
ZONED = ["2013-01-28 05:00:00+00", "2013-01-28T00:00:00-05:00", "2013-01-28T05:00Z", "2013-01-28 05:00:00 UTC",
         "2013-01-28 00:00:00 America/New_York"]  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_an_instant_must_say_its_zone(shelf: Shelf, kind: str) -> None:
    lines = ["a,at"] if kind == "csv" else []
    line = KIND_ROWS[kind].splitlines()[-1]
    text = "".join(f"{each}\n" for each in [*lines, *(line.format("x", at) for at in [*ZONED, *ZONELESS])])
    columns = {"a": "VARCHAR", "at": "TIMESTAMPTZ"}
    delivery = shelf.put(text, columns=columns, format=kind, max_bad_rows=3)
    bad = shelf.bad(delivery)
    assert [reason for *_, reason, _ in bad] == [
        f"column 'at' is \"{at}\", which does not say its zone: deliver it like 2013-01-28T05:00:00Z, or declare "
        "TIMESTAMP and name the zone in SQL (AT TIME ZONE)"
        for at in ZONELESS
    ]
    assert {row["at"] for row in shelf.read(delivery)} == {datetime(2013, 1, 28, 5, tzinfo=UTC)}
    local = shelf.put(text, columns={"a": "VARCHAR", "at": "TIMESTAMP"}, format=kind)
    assert len(shelf.read(local, "SELECT source.at AT TIME ZONE 'America/New_York' FROM source")) == 8


@ANY
@given(ROWS)
def test_any_rows_are_the_same_in_every_format(shelf: Shelf, rows: list[dict[str, Any]]) -> None:
    contents = {"csv": as_csv(rows), "jsonl": as_lines(rows), "parquet": pa.Table.from_pylist(rows, SCHEMA)}
    for kind, content in contents.items():
        assert ordered(shelf.read(shelf.put(content, columns=KINDS, format=kind))) == ordered(rows)


@ANY
@given(
    ROWS,
    st.integers(0, 11),
    st.sampled_from(["x,1,a,1,", "1,2", '1,1,"a,1,', "1,1,a,1,2013-01-28,9", "1,1,a,1,2013-13-01", ",1,a,1,"]),
)
def test_one_malformed_row_anywhere_loses_exactly_that_row(
    shelf: Shelf, rows: list[dict[str, Any]], place: int, line: str
) -> None:
    rows = [{**row, "name": (row["name"] or "x").replace('"', "")} for row in rows]
    place = min(place, len(rows))
    head, tail = as_csv(rows[:place]), as_csv(rows[place:]).split("\n", 1)[1]
    # An open quote is closed by the next quote, whoever wrote that.
    tail = tail if '"' not in line else as_csv([{**row, "name": "x"} for row in rows[place:]]).split("\n", 1)[1]
    left = rows if '"' not in line else [*rows[:place], *({**row, "name": "x"} for row in rows[place:])]
    delivery = shelf.put(f"{head}{line}\n{tail}", columns=KINDS, max_bad_rows=1)
    assert [(number, text) for _, number, _, text in shelf.bad(delivery)] == [(head.count("\n") + 1, line)]
    assert ordered(shelf.read(delivery)) == ordered(left)

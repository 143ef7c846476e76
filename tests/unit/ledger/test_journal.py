from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tradewind.errors import TradewindError, Unavailable, UsageError
from tradewind.ledger.journal import Entry, Ledger


def entry(key: str = "k", *, partition: str | None = "2013-02-04", **fields: object) -> Entry:
    return Entry("flights", "note", "etl", partition, key, **fields)  # type: ignore[arg-type]


def test_an_entry_comes_back_as_it_was_written(url: str) -> None:
    at = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)
    written = entry(
        outcome="train", reason="decay", evidence={"auc": 0.61, "of": [1, None]}, actor="ada", run_id="r1", at=at
    )
    assert Ledger(url).append(written)
    found = Ledger(url).find("flights", "note")
    assert found == [Entry(**{**{name: getattr(written, name) for name in Entry.__slots__}, "id": 1})]


def test_a_known_key_writes_nothing(url: str) -> None:
    ledger = Ledger(url)
    assert ledger.append(entry(reason="first"))
    assert not ledger.append(entry(reason="second"))
    assert [found.reason for found in ledger.find("flights", "note")] == ["first"]


def test_keys_of_other_pipelines_and_kinds_do_not_clash(url: str) -> None:
    ledger = Ledger(url)
    assert ledger.append(entry())
    assert ledger.append(Entry("trains", "note", "etl", None, "k"))
    assert ledger.append(Entry("flights", "decision", "etl", None, "k"))
    assert ledger.pipelines() == ["flights", "trains"]


def test_entries_are_found_by_subject_partition_and_until(url: str) -> None:
    ledger = Ledger(url)
    for partition in ("2013-02-11", "2013-01-28", "2013-02-04"):
        ledger.append(entry(partition, partition=partition))
    ledger.append(entry("none", partition=None))

    def keys(**where: str) -> list[str]:
        return [found.key for found in ledger.find("flights", "note", **where)]  # type: ignore[arg-type]

    assert keys(until="2013-02-04") == ["2013-01-28", "2013-02-04"]
    assert keys(partition="2013-02-11") == ["2013-02-11"]
    assert keys(subject="score") == []
    assert len(keys(subject="etl")) == 4
    assert ledger.has("flights", "note", subject="etl", partition="2013-01-28")
    assert not ledger.has("flights", "note", subject="etl", partition="2013-02-18")


def test_get_finds_one_entry_by_its_key(url: str) -> None:
    ledger = Ledger(url)
    ledger.append(entry("a"))
    found = ledger.get("flights", "note", key="a")
    assert found is not None
    assert found.id == 1
    assert ledger.get("flights", "note", key="b") is None


def test_evidence_is_spelled_in_json(url: str) -> None:
    ledger = Ledger(url)
    values = {
        "auc": np.float64(0.5),
        "rows": np.int64(3),
        "below": np.bool_(True),
        "low": float("nan"),
        "parts": ("a", "b"),
    }
    ledger.append(entry(evidence={**values, "at": datetime(2013, 1, 1, tzinfo=UTC)}))
    assert ledger.find("flights", "note")[0].evidence == {
        "auc": 0.5,
        "rows": 3,
        "below": True,
        "low": "nan",
        "parts": ["a", "b"],
        "at": "2013-01-01T00:00:00+00:00",
    }


def test_evidence_that_json_cannot_hold_is_an_error_naming_the_type(url: str) -> None:
    with pytest.raises(TradewindError, match="cannot hold a object as evidence"):
        Ledger(url).append(entry(evidence={"thing": object()}))


@pytest.mark.parametrize("statement", ["UPDATE {} SET reason = 'x'", "DELETE FROM {}"])
@pytest.mark.parametrize("table", ["tradewind_journal", "tradewind_champions"])
def test_nothing_written_can_be_changed(url: str, statement: str, table: str) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    from tradewind.ledger.champions import ChampionChange

    ledger = Ledger(url)
    ledger.append(entry())
    ledger.promote(ChampionChange("flights", 0, "flights", "1", "2013-02-04"), expected=0)
    with pytest.raises(DBAPIError, match="append-only"), create_engine(url, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql(statement.format(table))
    assert len(ledger.find("flights", "note")) == len(ledger.champions("flights")) == 1


def test_a_database_that_is_away_is_unavailable_and_named_without_its_password() -> None:
    url = "postgresql+psycopg://user:geheim@127.0.0.1:1/ledger"
    with pytest.raises(Unavailable, match="read note entries of flights: the ledger at postgresql") as caught:
        Ledger(url).find("flights", "note")
    assert "geheim" not in str(caught.value)


def test_a_locked_sqlite_ledger_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    monkeypatch.setattr("tradewind.ledger.database._BUSY_SECONDS", 0)
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.append(entry())
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        ledger.append(entry("b"))
    other.close()
    assert ledger.append(entry("b"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TradewindError, match=r"the folder of the ledger .*file/ledger.db cannot be used"):
        Ledger(f"sqlite:///{tmp_path}/file/ledger.db").find("flights", "note")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "nonsense"])
def test_a_url_that_cannot_hold_a_ledger_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="ledger"):
        Ledger(url).find("flights", "note")

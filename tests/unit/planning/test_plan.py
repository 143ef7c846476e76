"""What is missing, what is stale and why, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tradewind.errors import AuditFailed, InvalidPartitionKey, SpecError, UsageError
from tradewind.etl import dataset_build as etl
from tradewind.etl.dataset_build import build_dataset
from tradewind.ledger import holds, skipped_partitions
from tradewind.planning.delivery_digests import DeliveryDigests

if TYPE_CHECKING:
    from conftest import Shop

DAYS = ["2013-01-28", "2013-01-29", "2013-01-30", "2013-01-31"]
CURRENT = ["current"] * 4


def whys(shop: Shop, name: str, day: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(why.kind, why.text, why.about) for why in shop.items(name)[day].why]


def test_nothing_is_said_of_what_is_as_it_would_be_made_now(built: Shop) -> None:
    assert (built.states("orders"), built.states("totals"), built.states("complete")) == (CURRENT, CURRENT, CURRENT)


def test_what_was_never_made_is_missing_and_what_was_not_delivered_waits(shop: Shop) -> None:
    shop.deliver(DAYS[0], 1)
    shop.deliver(DAYS[2], 1)
    assert shop.states("orders") == ["missing", "waiting", "missing", "waiting"]
    assert shop.states("totals") == ["missing", "waiting", "waiting", "waiting"]
    assert "2013-01-29.csv" in shop.items("orders")[DAYS[1]].why[0].about[0]


def test_a_corrected_file_makes_its_partition_stale_and_its_readers_possibly_stale(built: Shop) -> None:
    built.deliver(DAYS[1], 77)
    assert built.states("orders") == ["current", "stale", "current", "current"]
    assert whys(built, "orders", DAYS[1]) == [("input", "its input has changed since", ("source",))]
    assert built.states("totals") == ["current", "possibly stale", "possibly stale", "current"]
    assert built.items("totals")[DAYS[2]].why[0].about == (f"orders/{DAYS[1]}",)


def test_partitions_that_read_a_corrected_one_are_found_through_their_recorded_digests(built: Shop) -> None:
    built.deliver(DAYS[1], 77)
    build_dataset(built.deployment, "orders", DAYS[1])
    assert built.states("orders") == CURRENT
    assert built.states("totals") == ["current", "stale", "stale", "current"]
    assert whys(built, "totals", DAYS[2]) == [
        ("dataset", "a dataset that it reads was corrected", (f"orders/{DAYS[1]}",))
    ]
    assert built.states("complete") == ["current", "stale", "possibly stale", "current"]


def test_a_correction_that_changes_nothing_makes_no_reader_stale(built: Shop) -> None:
    built.write("orders.sql", "SELECT id, amount + 0 AS amount FROM source")
    assert built.states("totals") == ["possibly stale"] * 4
    for day in DAYS:
        build_dataset(built.deployment, "orders", day)
    assert (built.states("orders"), built.states("totals")) == (CURRENT, CURRENT)


def test_a_comment_or_a_line_break_in_sql_sets_nothing_in_motion(built: Shop) -> None:
    built.write("orders.sql", "-- what was ordered\nSELECT id,\n    amount /* in cents */\nFROM source\n")
    assert (built.states("orders"), built.states("totals"), built.states("complete")) == (CURRENT, CURRENT, CURRENT)


def test_sums_of_doubles_that_are_made_again_set_nothing_in_motion(shop: Shop) -> None:
    shop.orders["source"]["columns"]["amount"] = "DOUBLE"
    mean = "avg(amount) AS mean, stddev(amount) AS deviation, sum(amount / 7) AS sevenths"
    shop.write("totals.sql", f"SELECT {mean} FROM orders")
    for number, day in enumerate(DAYS):
        shop.deliver(day, *(round((number * 997 + n * 7919) % 10_007 / 101, 3) for n in range(20_000)))
    shop.run(*DAYS)
    shop.write("totals.sql", f"SELECT {mean} FROM (SELECT amount FROM orders)")
    assert shop.states("totals") == ["stale"] * 4
    shop.runtime = replace(shop.runtime, threads=16)
    for day in DAYS:
        build_dataset(shop.deployment, "totals", day)
    assert (shop.states("totals"), shop.states("complete")) == (CURRENT, CURRENT)


def test_a_dataset_that_need_not_be_deterministic_says_so(built: Shop) -> None:
    built.totals["deterministic"] = False
    note = ("note", "`deterministic: false`: another run of the same inputs may give other rows", ())
    assert note in whys(built, "totals", DAYS[0])
    assert whys(built, "orders", DAYS[0]) == []


def change_sql(shop: Shop) -> None:
    shop.write("orders.sql", "SELECT id, amount * 2 AS amount FROM source")


def change_expectations(shop: Shop) -> None:
    shop.expect(200)


def change_yaml(shop: Shop) -> None:
    shop.orders["keys"] = ["id", "amount"]


def change_file_name(shop: Shop) -> None:
    shop.write("other.sql", "SELECT id, amount FROM source")
    shop.orders["sql"] = "other.sql"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (change_sql, "changed: orders.sql"),
        (change_expectations, "changed: orders.json"),
        (change_yaml, "changed: YAML"),
        (change_file_name, "changed: orders.sql, other.sql"),
    ],
)
def test_a_change_that_nobody_has_deployed_says_what_it_would_recompute(
    built: Shop, change: Callable[[Shop], None], told: str
) -> None:
    change(built)
    assert built.states("orders") == ["stale"] * 4
    assert whys(built, "orders", DAYS[0]) == [("configuration", told, ())]


def test_a_change_makes_only_the_datasets_stale_that_it_touches(built: Shop) -> None:
    built.write("totals.sql", "SELECT count(*) AS orders, max(amount)::BIGINT AS amount FROM orders")
    assert (built.states("orders"), built.states("totals")) == (CURRENT, ["stale"] * 4)


def test_a_longer_lookback_says_what_is_read_now(built: Shop) -> None:
    built.totals["inputs"] = {"orders": {"lookback": 3}}
    reasons = {why.kind: why for why in built.items("totals")[DAYS[3]].why}
    assert reasons["input"].about == (f"orders/{DAYS[1]}",)
    assert reasons["configuration"].text == "changed: YAML"


def test_an_upgrade_of_tradewind_is_told_apart(built: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.planning.dataset_items.CODE", "etl-9")
    ((kind, text, _),) = whys(built, "totals", DAYS[0])
    assert (kind, f"({etl.CODE}, now etl-9)" in text) == ("code", True)


def test_all_reasons_are_told_at_once(built: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    change_sql(built)
    built.deliver(DAYS[0], 5)
    monkeypatch.setattr("tradewind.planning.dataset_items.CODE", "etl-9")
    assert [kind for kind, _, _ in whys(built, "orders", DAYS[0])] == ["input", "configuration", "code"]


def test_what_failed_its_audit_is_in_quarantine_until_its_input_changes(built: Shop) -> None:
    late = "2013-02-01"
    built.deliver(late, 500)
    with pytest.raises(AuditFailed):
        build_dataset(built.deployment, "orders", late)
    now = {"now": etl_time(2)}
    assert plan_states(built, late, **now) == ["quarantined", "waiting"]
    built.deliver(late, 50)
    assert plan_states(built, late, **now) == ["missing", "missing"]


def etl_time(day: int) -> object:
    from datetime import UTC, datetime

    return datetime(2013, 2, day, 12, tzinfo=UTC)


def plan_states(shop: Shop, day: str, **options: object) -> list[str]:
    from tradewind.planning.plan import make_plan

    found = make_plan(shop.deployment, first=day, last=day, **options)  # type: ignore[arg-type]
    return [item.state for item in found.items]


def test_what_stays_out_is_said_and_is_not_missing_and_its_readers_go_on(shop: Shop) -> None:
    shop.deliver(DAYS[0], 1)
    shop.deliver(DAYS[3], 1)
    skipped_partitions.leave_out(shop.ledger, "shop", DAYS[1], dataset="orders", reason="no file came")
    skipped_partitions.skip_partition(shop.ledger, "shop", DAYS[2], reason="strike", actor="ann")
    assert shop.states("orders") == ["missing", "left out", "skipped", "missing"]
    assert shop.states("totals") == ["missing", "left out", "skipped", "missing"]
    assert shop.items("orders")[DAYS[2]].why[0].text == "by ann: strike"


def test_an_input_that_was_removed_after_publishing_makes_nothing_stale(built: Shop) -> None:
    (built.folder / "landing" / f"{DAYS[0]}.csv").unlink()
    assert built.states("orders") == CURRENT
    assert whys(built, "orders", DAYS[0]) == [
        ("note", "its files are not there any more, so they are not compared", ("source",))
    ]


def test_a_file_that_was_emptied_after_publishing_makes_its_partition_stale(built: Shop) -> None:
    built.deliver(DAYS[0])
    assert built.states("orders")[0] == "stale"
    assert whys(built, "orders", DAYS[0]) == [("input", "its input has changed since", ("source",))]


def test_a_file_that_was_delivered_empty_is_not_called_missing(shop: Shop) -> None:
    shop.deliver(DAYS[0])
    assert shop.states("orders")[0] == "waiting"
    assert whys(shop, "orders", DAYS[0])[0][1] == "its input cannot be used as it is"


def test_what_was_left_out_and_delivered_since_is_missing(shop: Shop) -> None:
    shop.deliver(DAYS[0], 1)
    skipped_partitions.leave_out(shop.ledger, "shop", DAYS[1], dataset="orders", reason="no file came")
    assert shop.states("totals")[1] == "left out"
    shop.deliver(DAYS[1], 1)
    assert shop.states("orders")[:2] == shop.states("totals")[:2] == ["missing", "missing"]


def test_what_cannot_be_seen_without_fetching_is_said(built: Shop) -> None:
    built.write("orders.dbsql", "SELECT 1")
    source = {"query": "orders.dbsql", "connection": "shop_db", "columns": built.orders["source"]["columns"]}
    built.orders["source"] = source
    reasons = whys(built, "orders", DAYS[0])
    assert reasons[-1][1] == "what is not a local file is not compared: only fetching it would tell"


def test_a_held_pipeline_says_so(built: Shop) -> None:
    assert built.plan().held is None
    holds.hold_pipeline(built.ledger, "shop", reason="the source lies", actor="ann")
    assert "held by ann" in (built.plan().held or "")


def test_only_partitions_that_are_over_and_asked_for_are_looked_at(built: Shop) -> None:
    assert built.plan().partitions == tuple(DAYS)
    assert built.plan(first=DAYS[1], last=DAYS[2]).partitions == tuple(DAYS[1:3])
    assert built.plan(last="2013-03-01").partitions == tuple(DAYS)
    with pytest.raises(InvalidPartitionKey):
        built.plan(first="2012-01-01")
    with pytest.raises(UsageError, match="the first one is the later"):
        built.plan(first=DAYS[2], last=DAYS[1])


def test_a_file_that_the_yaml_names_and_that_is_gone_is_named(built: Shop) -> None:
    (built.folder / "totals.sql").unlink()
    with pytest.raises(SpecError, match=r"totals\.sql"):
        built.plan()


def test_a_file_that_did_not_change_is_read_once(built: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.planning.delivery_digests._YOUNG_SECONDS", -1.0)
    memory = built.folder / "memory.json"
    assert built.states("orders", deliveries=DeliveryDigests(memory)) == CURRENT
    monkeypatch.setattr("tradewind.planning.delivery_digests.hash_delivery", None)  # reading a file would raise
    assert built.states("orders", deliveries=DeliveryDigests(memory)) == CURRENT
    monkeypatch.undo()
    built.deliver(DAYS[2], 3)
    assert built.states("orders", deliveries=DeliveryDigests(memory))[2] == "stale"


def test_a_file_that_is_too_young_to_tell_is_not_remembered(built: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.planning.delivery_digests._YOUNG_SECONDS", 1e12)
    memory = built.folder / "memory.json"
    assert built.states("orders", deliveries=DeliveryDigests(memory)) == CURRENT
    assert not memory.exists()


def test_a_broken_memory_costs_time_and_nothing_else(built: Shop) -> None:
    memory = built.folder / "memory.json"
    memory.write_text("{")
    assert built.states("orders", deliveries=DeliveryDigests(memory)) == CURRENT


def test_commits_are_read_backwards_until_every_partition_is_found(
    built: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradewind.planning.recorded_causes._MARGIN", -3)
    for amount in (50, 60, 70):
        built.deliver(DAYS[0], amount)
        build_dataset(built.deployment, "orders", DAYS[0])
    change_sql(built)
    for day in (DAYS[0], DAYS[3]):
        assert whys(built, "orders", day) == [("configuration", "changed: orders.sql", ())]


def test_a_landing_zone_that_is_away_is_not_compared(built: Shop) -> None:
    (built.folder / "landing").rename(built.folder / "elsewhere")
    assert built.states("orders") == CURRENT

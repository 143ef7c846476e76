"""What ``show`` tells of incidents, and how a person or a narrower range closes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.alerting import incidents

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Project

DAYS = ["2013-01-28", "2013-01-29", "2013-01-30", "2013-01-31"]
NAME = "shop/etl/orders/MissingInput"


def fail(shop: Project, *days: str) -> None:
    for day in days:
        incidents.report_failure(
            shop.ledger, pipeline="shop", stage="etl", task="orders", partition=day, run_id=day,
            error_type="MissingInput", message=f"{day}.csv is missing\nlook for it", link=f"http://log/{day}",
        )  # fmt: skip


def narrow(shop: Project) -> None:
    path = shop.folder / "dags" / "shop.yaml"
    path.write_text(path.read_text().replace("start: 2013-01-28", "start: 2013-01-30"))


def test_show_has_the_text_of_each_partition_that_is_open(shop: Project) -> None:
    fail(shop, *DAYS[:3])
    incidents.close_stage_incidents(shop.ledger, "shop", "etl", DAYS[2])
    told = shop.told("show", "shop")
    assert f"{NAME} ({DAYS[0]}, {DAYS[1]}):\n" in told
    assert all(f"- {day}: {day}.csv is missing\n" in told for day in DAYS[:2])
    assert f"{DAYS[2]}.csv" not in told
    (found,) = shop.answer("show", "shop")["state"]["incidents"]
    assert {key: one["link"] for key, one in found["by_partition"].items()} == {
        day: f"http://log/{day}" for day in DAYS[:2]
    }


def test_an_incident_is_closed_by_hand_with_name_and_reason(shop: Project) -> None:
    fail(shop, *DAYS[:2])
    told = shop.told("close", "shop", NAME, "--partition", DAYS[0], "--reason", "a holiday", "--by", "ann")
    assert told == f"{NAME} is closed for 1 partition: {DAYS[0]}\nit stays open for {DAYS[1]}\n"
    shop.told("close", "shop", NAME, "--reason", "also one", "--by", "ann")
    assert incidents.open_incidents(shop.ledger, "shop") == []
    history = shop.told("history", "shop")
    assert "MissingInput closed by ann: a holiday" in " ".join(history.split())


def test_closing_what_is_not_open_names_what_is(shop: Project) -> None:
    assert "no incident shop/etl/orders/Missing is open; none is" in shop.error(
        "close", "shop", "shop/etl/orders/Missing", "--reason", "x"
    )
    fail(shop, DAYS[0])
    assert f"open is {NAME}" in shop.error("close", "shop", "shop/etl/orders/Missing", "--reason", "x")
    assert f"it is of {DAYS[0]}" in shop.error("close", "shop", NAME, "--partition", DAYS[1], "--reason", "x")
    assert shop.command("close", "shop", NAME).exit_code == 2


def test_what_left_the_range_is_closed_when_somebody_looks(shop: Project) -> None:
    fail(shop, DAYS[0], DAYS[3])
    narrow(shop)
    (found,) = shop.answer("show", "shop")["state"]["incidents"]
    assert found["partitions"] == [DAYS[3]]
    (closed,) = shop.ledger.find("shop", "incident_closed")
    assert closed.reason == f"partition {DAYS[0]} is outside the pipeline's range now: 2013-01-30 … 2013-02-01"


def test_what_has_no_valid_key_any_more_is_closed(shop: Project) -> None:
    fail(shop, DAYS[0])
    path = shop.folder / "dags" / "shop.yaml"
    path.write_text(path.read_text().replace("partition: day", "partition: month").replace("2013-01-28", "2013-01-01"))
    assert incidents.close_incidents_outside_range(shop.ledger, shop.spec) == [DAYS[0]]

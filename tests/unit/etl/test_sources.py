"""Datasets from a database and from a web service, through the same door as delivered files."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.local_runtime import local_runtime

from tradewind.core.connections import DatabaseConnection, GivenConnections, WebServiceConnection
from tradewind.deployment import Deployment
from tradewind.errors import InputError, LeftOut, MalformedInput, NotDelivered
from tradewind.etl.dataset_build import DatasetResult, build_dataset
from tradewind.lake.dataset import Lake
from tradewind.spec.pipeline import Pipeline

DAY = "2013-01-28"
QUERY = "SELECT id, price FROM orders WHERE day = $partition ORDER BY rowid"


class Shop:
    """A dataset ``orders`` from the database or the service beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "shop.db"
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute("CREATE TABLE orders (id, price, day)")
        (folder / "source.sql").write_text(QUERY)
        (folder / "orders.sql").write_text("SELECT id, price FROM source")
        self.connections = GivenConnections(
            {"db": DatabaseConnection("sqlite", lambda: sqlite3.connect(self.database), "qmark")}
        )

    def sell(self, *rows: tuple[Any, Any]) -> None:
        with closing(sqlite3.connect(self.database)) as connection:
            connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(*row, DAY) for row in rows])
            connection.commit()

    def build(self, **source: Any) -> DatasetResult:
        source = source if "http" in source else {"query": "source.sql", "connection": "db", **source}
        about = {"pipeline": "shop", "owner": "x", "description": "x", "schedule": "0 6 * * *"}
        time = {"partition": "day", "timezone": "UTC", "start": DAY}
        orders = {"source": source, "sql": "orders.sql"}
        spec = Pipeline.model_validate({**about, **time, "datasets": {"orders": orders}})
        folder = self.folder
        runtime = local_runtime(folder, connections=self.connections)
        return build_dataset(Deployment(spec, runtime), "orders", DAY)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        snapshot = Lake(str(self.folder / "lake")).dataset("shop", "orders").snapshot()
        assert snapshot is not None
        return sorted(tuple(row.values())[:2] for row in snapshot.arrow([DAY]).to_table().to_pylist())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_rows_of_a_query_are_published_and_the_same_rows_once(shop: Shop) -> None:
    shop.sell((1, 1.5), (2, None))
    assert shop.build().published.changed
    assert shop.rows == [(1, 1.5), (2, None)]
    assert not shop.build().published.changed
    shop.sell((3, 2.5))
    assert shop.build().published.rows == 3


def test_a_changed_query_is_a_cause(shop: Shop) -> None:
    shop.sell((1, 1.5))
    shop.build()
    (shop.folder / "source.sql").write_text(QUERY.replace("price FROM", "price * 2 AS price FROM"))
    shop.build()
    assert shop.rows == [(1, 3.0)]


def test_malformed_rows_of_a_query_are_put_aside_by_their_number(shop: Shop) -> None:
    shop.sell((1, 1.5), ("two", 2.5), (None, 3.5), (4, 4.5))
    columns = {"id": "BIGINT NOT NULL", "price": "DOUBLE"}
    assert shop.build(columns=columns, max_bad_rows="50%").bad_rows == 2
    assert shop.rows == [(1, 1.5), (4, 4.5)]
    [kept] = (shop.folder / "lake" / "shop" / "orders").glob(f"_quarantine/{DAY}/malformed/*.parquet")
    bad = {row["line"]: (row["file"], row["reason"]) for row in pq.read_table(kept).to_pylist()}
    assert sorted(bad) == [2, 3]
    assert bad[2][0] == "source.sql on db"
    assert "two" in bad[2][1]
    assert "NULL" in bad[3][1]


def test_one_of_them_too_many_is_an_error_with_its_number(shop: Shop) -> None:
    shop.sell((1, 1.5), ("two", 2.5))
    with pytest.raises(MalformedInput, match=r"source\.sql on db, line 2.*two"):
        shop.build(columns={"id": "BIGINT", "price": "DOUBLE"})


def test_a_column_that_the_query_does_not_give_is_named(shop: Shop) -> None:
    shop.sell((1, 1.5))
    with pytest.raises(InputError, match=r"source\.sql on db.*'?amount"):
        shop.build(columns={"id": "BIGINT", "amount": "DOUBLE"})


@pytest.mark.parametrize(("said", "error"), [("wait", NotDelivered), ("skip", LeftOut)])
def test_a_query_without_rows_means_what_the_yaml_says(shop: Shop, said: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"source\.sql on db: the query gives no row for partition 2013-01-28"):
        shop.build(empty=said)


@pytest.fixture
def service(shop: Shop) -> Iterator[Shop]:
    """The same shop, also as a service with pages of two rows."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = int(self.path.rpartition("page=")[2])
            with closing(sqlite3.connect(shop.database)) as connection:
                query = "SELECT id, price FROM orders LIMIT 2 OFFSET ?"
                rows = [{"id": a, "price": b} for a, b in connection.execute(query, [2 * page - 2])]
            body = json.dumps({"items": rows}).encode()
            self.send_response(200 if self.path.startswith(f"/orders/{DAY}") else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    shop.connections = GivenConnections(
        services={"web": WebServiceConnection(f"http://127.0.0.1:{server.server_port}")}
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield shop
    server.shutdown()
    thread.join()
    server.server_close()


PAGED: dict[str, Any] = {
    "connection": "web", "records": "items", "paging": {"by": "page"}, "columns": {"id": "BIGINT", "price": "DOUBLE"},
}  # fmt: skip


def test_pages_of_a_service_are_published(service: Shop) -> None:
    service.sell((1, 1.5), (2, 2.5), (3, None))
    service.build(http="/orders/{partition}", **PAGED)
    assert service.rows == [(1, 1.5), (2, 2.5), (3, None)]
    assert not service.build(http="/orders/{partition}", **PAGED).published.changed


def test_a_malformed_row_of_a_service_is_put_aside(service: Shop) -> None:
    service.sell((1, 1.5), (2, 2.5), ("three", 3.5))
    assert service.build(http="/orders/{partition}", max_bad_rows=1, **PAGED).bad_rows == 1
    assert service.rows == [(1, 1.5), (2, 2.5)]


def test_an_address_without_anything_means_what_the_yaml_says(service: Shop) -> None:
    with pytest.raises(LeftOut, match=r"/nothing/2013-01-28: it answered 404 .*`missing: skip`"):
        service.build(http="/nothing/{partition}", missing="skip", **PAGED)

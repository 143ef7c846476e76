"""A pipeline of hours over PostgreSQL, on a real Airflow, in the night in which New York's clock shows 01:00 twice.

One hour comes late and is waited for, one is left out and delivered afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from tests.e2e.demo_home import DemoHome, empty_home

from tradewind.hooks.airflow_api import AirflowApi
from tradewind.ledger import completion, skipped_partitions
from tradewind.ledger.journal import Ledger
from tradewind.local_airflow.home import Home
from tradewind.local_airflow.running_airflow import read_login

pytestmark = [pytest.mark.slow, pytest.mark.services]

TWICE, LATE, LEFT_OUT, AFTER = [f"2013-11-03T0{hour}" for hour in range(1, 5)]
FILES = {
    "dags/rides.py": """
        \"\"\"Airflow DAGs of this file's YAML.\"\"\"

        from tradewind.factory.dags import dags_of

        globals().update(dags_of(__file__))
        """,
    "dags/rides.yaml": """
        pipeline: rides
        owner: ops@example.com
        description: How busy is a zone?
        partition: hour
        timezone: America/New_York
        start: 2013-11-03T01
        end: 2013-11-03T05
        schedule: "@hourly"
        datasets:
          rides:
            source:
              query: include/rides/sql/source.sql
              connection: rides_db
              columns: {id: BIGINT NOT NULL, zone: VARCHAR, fare: "DECIMAL(8,2)", at: TIMESTAMPTZ}
              empty: wait
              wait_for: 3m
            sql: include/rides/sql/rides.sql
            keys: [id]
          weather:
            source: {files: "{landing}/weather/{partition}.csv", columns: {rain: DOUBLE}, missing: skip}
            sql: include/rides/sql/weather.sql
          zone_hours:
            inputs: {rides: {lookback: 3}, weather: {lookback: 2}}
            sql: include/rides/sql/zone_hours.sql
            keys: [zone]
        features: {definitions: include/rides/features.py}
        """,
    "include/rides/sql/source.sql": """
        -- $partition is what the task asks for
        SELECT id, zone, fare, at FROM rides WHERE at >= $partition_start AND at < $partition_end ORDER BY id;
        """,
    "include/rides/sql/rides.sql": "SELECT * FROM source",
    "include/rides/sql/weather.sql": "SELECT rain FROM source",
    "include/rides/sql/zone_hours.sql": """
        SELECT zone, count(*) AS rides, sum(fare)::DOUBLE AS fares, (SELECT sum(rain) FROM weather) AS rain,
               $partition_end AS known_at
        FROM rides GROUP BY zone
        """,
    "include/rides/features.py": """
        from datetime import timedelta

        from feast import Entity, FeatureView, Field
        from feast.types import Float64, Int64
        from feast.value_type import ValueType

        from tradewind.features.source import LakeSource

        zone = Entity(name="zone", join_keys=["zone"], value_type=ValueType.STRING)
        zone_hours = FeatureView(
            name="zone_hours",
            entities=[zone],
            ttl=timedelta(hours=6),
            source=LakeSource("zone_hours", timestamp_field="known_at"),
            schema=[Field(name="rides", dtype=Int64), Field(name="fares", dtype=Float64)],
        )
        """,
}


class City:
    """The project, its database and its Airflow."""

    def __init__(self, home: DemoHome, database: sqlalchemy.Engine, api: AirflowApi) -> None:
        self.home = home
        self.database = database
        self.api = api
        self.ledger = Ledger(f"sqlite:///{home.root}/ledger.db")

    def ride(self, number: int, at: str, fare: str = "10.50") -> None:
        with self.database.begin() as connection:
            values = {"id": number, "at": at, "fare": fare}
            connection.execute(sqlalchemy.text("INSERT INTO rides VALUES (:id, 'soho', :fare, :at)"), values)

    def measure(self, *hours: str) -> None:
        folder = self.home.root / "landing" / "weather"
        folder.mkdir(exist_ok=True)
        for hour in hours:
            (folder / f"{hour}.csv").write_text("rain\n1.5\n")

    def start(self, hour: str) -> None:
        self.api.start("rides__etl", hour)

    def run(self, hour: str, *, features: bool = True) -> None:
        """Start an hour and wait for the end of all that follows."""
        before = len(self.api.runs(partition=hour))
        self.start(hour)
        self.wait(hour, runs=before + 1 + features)

    def wait(self, hour: str, *, runs: int = 2) -> None:
        until(lambda: len(found := self.api.runs(partition=hour)) >= runs and all(run.over for run in found))
        assert {run.state for run in self.api.runs(partition=hour)} == {"success"}

    def tasks(self, hour: str) -> dict[str, str]:
        """State of each task of the hour's newest etl run."""
        run = next(run for run in reversed(self.api.runs(partition=hour)) if run.dag_id == "rides__etl")
        path = f"/api/v2/dags/rides__etl/dagRuns/{run.run_id}/taskInstances"
        found = self.api._call("GET", path).json()["task_instances"]
        return {task["task_id"]: task["state"] for task in found}

    def rows(self, dataset: str, hour: str, *columns: str) -> list[tuple[Any, ...]]:
        from deltalake import DeltaTable

        table = DeltaTable(self.home.root / "lake" / "rides" / dataset)
        rows = table.to_pyarrow_table(filters=[("partition", "=", hour)], columns=list(columns)).to_pylist()
        return sorted(tuple(row.values()) for row in rows)


def until(condition: Callable[[], bool], *, seconds: float = 120) -> None:
    """Look again and again until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.3)


def lay_out(project: Path) -> Path:
    for name, text in FILES.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        indent = "\n        "
        path.write_text(text.replace(indent, "\n").strip() + "\n")
    return project


@pytest.fixture
def city(tmp_path: Path, postgres_url: str) -> Iterator[City]:
    url = sqlalchemy.make_url(postgres_url)
    database = sqlalchemy.create_engine(url)
    with database.begin() as connection:
        connection.execute(
            sqlalchemy.text("CREATE TABLE rides (id bigint, zone text, fare numeric(8, 2), at timestamptz)")
        )
    home = empty_home(tmp_path, lay_out(tmp_path / "project"))
    up = home.run("up", "--no-mlflow")
    try:
        assert up.returncode == 0, f"{up.stdout}\n{up.stderr}"
        user, password = read_login(Home(root=home.root, project=home.project))
        with AirflowApi(home.state()["airflow"], user=user, password=password) as api:
            fields = {"host": url.host, "port": url.port, "login": url.username, "password": url.password}
            about = {"connection_id": "rides_db", "conn_type": "postgres", "schema": url.database, **fields}
            api._call("POST", "/api/v2/connections", json=about)
            dags = {"rides__etl", "rides__features"}
            until(lambda: api.dags() >= dags or bool(api.import_errors()))
            assert api.import_errors() == {}
            for dag in dags:
                api.unpause(dag)
            yield City(home, database, api)
    finally:
        home.run("down")
        database.dispose()


def test_hours_from_a_database(city: City) -> None:
    city.measure(TWICE, LATE, AFTER)
    city.ride(1, "2013-11-03 00:30-04")
    city.ride(2, "2013-11-03 01:30-04")
    city.ride(3, "2013-11-03 01:30-05")
    city.ride(5, "2013-11-03 03:30-05")
    city.ride(6, "2013-11-03 04:30-05")
    city.run(TWICE)
    assert city.rows("rides", TWICE, "id") == [(2,), (3,)]  # both hours that the clock calls 01

    city.start(LATE)
    until(lambda: city.tasks(LATE).get("rides") == "deferred")
    city.ride(4, "2013-11-03 02:30-05", fare="0.10")
    city.wait(LATE)
    assert city.rows("zone_hours", LATE, "rides", "fares", "rain") == [(3, 21.1, 3.0)]

    city.run(LEFT_OUT, features=False)
    skipped = dict.fromkeys(("weather", "zone_hours", "complete"), "skipped")
    assert city.tasks(LEFT_OUT) == {"rides": "success", **skipped}
    [(hour, reason)] = skipped_partitions.left_out(city.ledger, "rides").items()
    assert hour == LEFT_OUT
    assert f"{LEFT_OUT}.csv" in reason
    assert not completion.is_complete(city.ledger, "rides", "features", LEFT_OUT)

    city.run(AFTER)
    assert city.rows("zone_hours", AFTER, "rides", "rain") == [(3, 1.5)]  # without the weather that was left out

    city.measure(LEFT_OUT)
    city.run(LEFT_OUT)
    assert skipped_partitions.left_out(city.ledger, "rides") == {}
    assert completion.is_complete(city.ledger, "rides", "features", LEFT_OUT)
    assert online(city) == [(3, datetime(2013, 11, 3, 10, tzinfo=UTC))]  # the newest hour's, not the one that came late


def online(city: City) -> list[tuple[int, datetime]]:
    """Rides and time of the zone's row in the online store."""
    import sqlite3

    from feast.protos.feast.types.Value_pb2 import Value

    with closing(sqlite3.connect(city.home.root / "feast" / "online.db")) as store:
        [(table,)] = store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        query = f"SELECT value, event_ts FROM \"{table}\" WHERE feature_name = 'rides'"
        found = store.execute(query).fetchall()
    return [(Value.FromString(value).int64_val, datetime.fromtimestamp(int(at), UTC)) for value, at in found]

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy import make_url
from tests.unit.core.test_silence import Proxy, ended

from tradewind.core.network import ANSWER_SETTING
from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.errors import NoAnswer, NotReady
from tradewind.features.feast_apply import apply_definitions
from tradewind.features.feature_store import open_feature_store
from tradewind.spec.pipeline import Pipeline


@pytest.fixture(autouse=True)
def _published(etl) -> None:
    etl("2013-01-07", 1.0)


def edit(runtime: Runtime, old: str, new: str) -> None:
    path = runtime.project / "features.py"
    path.write_text(path.read_text().replace(old, new))


def online_tables(runtime: Runtime) -> set[str]:
    with sqlite3.connect(runtime.feast_online["path"]) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_the_same_definitions_are_applied_once(runtime: Runtime, spec: Pipeline) -> None:
    assert [apply_definitions(Deployment(spec, runtime)), apply_definitions(Deployment(spec, runtime))] == [True, False]


def test_changed_definitions_are_applied(runtime: Runtime, spec: Pipeline) -> None:
    apply_definitions(Deployment(spec, runtime))
    edit(runtime, "days=14", "days=7")
    assert apply_definitions(Deployment(spec, runtime))
    with open_feature_store(Deployment(spec, runtime), versions={}) as store:
        assert {view.name: view.ttl.days for view in store.list_feature_views()} == {
            "carrier_week": 7,
            "route_week": 7,
            "origin_week": 0,
        }


def test_what_is_no_longer_defined_is_deleted(runtime: Runtime, spec: Pipeline) -> None:
    apply_definitions(Deployment(spec, runtime))
    text = (runtime.project / "features.py").read_text()
    view = text[text.index("origin_week = FeatureView") : text.index("flight_delay_v1 =")]
    edit(runtime, view, "")
    edit(runtime, ", origin_week]", "]")
    assert apply_definitions(Deployment(spec, runtime))
    with open_feature_store(Deployment(spec, runtime), versions={}) as store:
        assert {view.name for view in store.list_feature_views()} == {"carrier_week", "route_week"}
        assert {source.name for source in store.list_data_sources()} == {"carrier_week", "route_week"}
    assert online_tables(runtime) == {"flights_carrier_week", "flights_route_week"}


def test_applies_at_the_same_time_apply_once(runtime: Runtime, spec: Pipeline) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(lambda _: apply_definitions(Deployment(spec, runtime)), range(4))) == [
            False,
            False,
            False,
            True,
        ]


def test_an_apply_that_failed_is_done_again(runtime: Runtime, spec: Pipeline, monkeypatch) -> None:
    import feast

    def die(*_: object, **__: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(feast.FeatureStore, "apply", die)
        with pytest.raises(ConnectionError):
            apply_definitions(Deployment(spec, runtime))
    assert apply_definitions(Deployment(spec, runtime))


def test_pipelines_share_a_registry_without_touching_each_other(runtime: Runtime, spec: Pipeline) -> None:
    apply_definitions(Deployment(spec, runtime))
    other = spec.model_copy(update={"pipeline": "trains"})
    with pytest.raises(NotReady, match="pipeline trains: nothing has been published to dataset carrier_week"):
        apply_definitions(Deployment(other, runtime))
    assert not apply_definitions(Deployment(spec, runtime))


def test_nothing_is_written_to_the_home_folder(runtime: Runtime, spec: Pipeline, monkeypatch) -> None:
    home = runtime.project / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    apply_definitions(Deployment(spec, runtime))
    assert not list(home.iterdir())


@pytest.mark.services
def test_the_registry_can_be_postgresql(runtime: Runtime, spec: Pipeline, postgres_url: str) -> None:
    shared = replace(runtime, feast_registry=postgres_url)
    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(lambda _: apply_definitions(Deployment(spec, shared)), range(3))) == [False, False, True]
    with open_feature_store(Deployment(spec, shared), versions={}) as store:
        assert len(store.list_feature_views()) == 3


@pytest.mark.services
def test_an_online_store_that_falls_silent_while_its_tables_are_made_is_named(
    runtime: Runtime, spec: Pipeline, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ANSWER_SETTING, "0.3")
    url = make_url(postgres_url)
    with closing(Proxy(str(url.host), url.port or 5432, word=b"CREATE TABLE")) as proxy:
        place = {
            "type": "postgres", "host": "127.0.0.1", "port": proxy.port, "database": url.database, "user": url.username,
            "password": "hidden", "sslmode": "disable", "db_schema": "public",
        }  # fmt: skip
        exc = ended(lambda: apply_definitions(Deployment(spec, replace(runtime, feast_online=place))))
    assert isinstance(exc, NoAnswer), repr(exc)
    assert f"{spec.pipeline}: the online store postgres at 127.0.0.1:{proxy.port}/" in str(exc)
    assert "hidden" not in str(exc)

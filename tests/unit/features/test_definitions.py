from __future__ import annotations

import pytest

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.errors import SpecError
from tradewind.features.definitions import load_definitions, needed_datasets, service_features
from tradewind.spec.pipeline import Pipeline


def edit(runtime: Runtime, old: str, new: str) -> None:
    path = runtime.project / "features.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_features_come_in_the_order_of_the_service(runtime: Runtime, spec: Pipeline) -> None:
    assert service_features(Deployment(spec, runtime)) == [
        "carrier_late",
        "carrier_flights",
        "route_late",
        "origin_late",
    ]


def test_only_the_datasets_of_the_service_are_needed(runtime: Runtime, spec: Pipeline) -> None:
    edit(runtime, "features=[carrier_week, route_week, origin_week]", "features=[route_week, carrier_week]")
    assert needed_datasets(Deployment(spec, runtime)) == ["carrier_week", "route_week"]
    assert load_definitions(Deployment(spec, runtime)).datasets() == ["carrier_week", "origin_week", "route_week"]


def test_the_digest_ignores_comments(runtime: Runtime, spec: Pipeline) -> None:
    before = load_definitions(Deployment(spec, runtime)).digest
    edit(runtime, "carrier = Entity(", "# how punctual an airline is\ncarrier = Entity(")
    assert load_definitions(Deployment(spec, runtime)).digest == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ttl=timedelta(days=14)", "ttl=timedelta(days=21)"),
        ('LakeSource("origin_week"', 'LakeSource("route_week", name="origin_week"'),
        ("carrier_flights", "carrier_count"),
        ("route_week, origin_week]", "route_week]"),
    ],
)
def test_the_digest_changes_with_what_the_definitions_say(runtime: Runtime, spec: Pipeline, old: str, new: str) -> None:
    before = load_definitions(Deployment(spec, runtime)).digest
    edit(runtime, old, new)
    assert load_definitions(Deployment(spec, runtime)).digest != before


def test_two_files_of_one_name_do_not_mix(runtime: Runtime, spec: Pipeline) -> None:
    first = load_definitions(Deployment(spec, runtime))
    edit(runtime, "days=14", "days=7")
    assert load_definitions(Deployment(spec, runtime)).views[0].ttl != first.views[0].ttl


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'LakeSource("carrier_week"',
            'LakeSource("carrier_weak"',
            "no dataset carrier_weak; did you mean carrier_w",
        ),
        ('"flight_delay_v1"', '"flight_delay_v2"', "no FeatureService 'flight_delay_v1'.*did you mean flight_delay_v2"),
        ('name="route_late"', 'name="carrier_late"', "2 views have a feature 'carrier_late'"),
        ("ValueType.STRING", "ValueType.TEXT", r"do not run: AttributeError: TEXT \(line 9\)"),
        ("carrier = Entity(", "carrier = Entity)", "do not run: SyntaxError"),
        (
            'LakeSource("origin_week", timestamp_field="known_at")',
            '__import__("feast").FileSource(path="x.parquet", timestamp_field="known_at")',
            "view origin_week: its source must be a LakeSource, not FileSource",
        ),
    ],
)
def test_a_mistake_is_named(runtime: Runtime, spec: Pipeline, old: str, new: str, said: str) -> None:
    edit(runtime, old, new)
    with pytest.raises(SpecError, match=said) as caught:
        service_features(Deployment(spec, runtime))
    assert "features.py" in str(caught.value)


def test_all_mistakes_are_named_at_once(runtime: Runtime, spec: Pipeline) -> None:
    edit(runtime, "LakeSource(", "LakeSource('no_'+")
    with pytest.raises(SpecError) as caught:
        load_definitions(Deployment(spec, runtime))
    assert str(caught.value).count("the pipeline has no dataset") == 3


def test_a_missing_file_is_named(runtime: Runtime, spec: Pipeline) -> None:
    (runtime.project / "features.py").unlink()
    with pytest.raises(SpecError, match=r"no file .*features\.py, which `features.definitions` names"):
        load_definitions(Deployment(spec, runtime))


def test_on_demand_views_are_refused(runtime: Runtime, spec: Pipeline) -> None:
    path = runtime.project / "features.py"
    path.write_text(
        path.read_text()
        + """
from feast.on_demand_feature_view import on_demand_feature_view

@on_demand_feature_view(sources=[carrier_week], schema=[Field(name="double", dtype=Float64)], mode="pandas")
def doubled(inputs):
    return inputs[["carrier_late"]].rename(columns={"carrier_late": "double"}) * 2
"""
    )
    with pytest.raises(SpecError, match="OnDemandFeatureView doubled: only feature views over datasets"):
        load_definitions(Deployment(spec, runtime))

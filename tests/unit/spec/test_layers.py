"""Defaults and overlays: what wins, where it is shown, and what a slip does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.errors import SpecError
from tradewind.spec.digest import config_hash
from tradewind.spec.layers import is_pipeline, overlay_environments
from tradewind.spec.load import examine_pipeline, list_problems, load_pipeline

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADEWIND_ENV", raising=False)


@pytest.fixture
def beside(flights: str, write: Write) -> Callable[..., Path]:
    """Write `flights.yaml` and other files beside it, given by their names without `.yaml`."""

    def _beside(text: str = flights, **others: str) -> Path:
        path = write(text)
        for name, content in others.items():
            path.with_name(f"{name.replace('__', '.')}.yaml").write_text(content)
        return path

    return _beside


def test_defaults_fill_what_the_pipeline_does_not_say(beside: Callable[..., Path], flights: str) -> None:
    defaults = "owner: platform@example.com\nrunbook: https://example.com/runbook\nalerts: {deadline: 9h}\n"
    spec = load_pipeline(beside(flights.replace("alerts:\n  deadline: 2h\n", ""), _defaults=defaults))

    assert spec.runbook == "https://example.com/runbook"
    assert spec.owner == "data@example.com"
    assert spec.alerts.deadline is not None
    assert spec.alerts.deadline.total_seconds() == 9 * 3600


def test_mappings_merge_by_key_and_all_else_is_replaced(beside: Callable[..., Path]) -> None:
    overlay = "datasets: {flights: {keys: [a, b], source: {max_bad_rows: 5}}}\ngates: [{metric: accuracy, at_least: 1}]"
    path = beside(flights__prod=overlay)

    examined = examine_pipeline(path, environment="prod")

    assert examined.problems == ()
    assert examined.spec is not None
    source = examined.spec.datasets["flights"].source
    assert source is not None
    assert (source.max_bad_rows, source.nulls) == (5, ("NA",))
    assert examined.spec.datasets["flights"].keys == ("a", "b")
    assert [gate.metric for gate in examined.spec.gates] == ["accuracy"]
    assert examined.files == (path, path.with_name("flights.prod.yaml"))


def test_null_takes_away_what_lies_below(beside: Callable[..., Path]) -> None:
    path = beside(_defaults="runbook: https://example.com\n", flights__prod="end: null\nrunbook: ~\nretrain: null\n")

    spec = examine_pipeline(path, environment="prod").spec

    assert spec is not None
    assert (spec.end, spec.runbook, spec.retrain.cooldown) == (None, None, 0)


def test_a_null_that_takes_away_what_must_be_there_is_shown_where_it_stands(beside: Callable[..., Path]) -> None:
    path = beside(flights__prod="description: x\nowner: null\n")

    (problem,) = examine_pipeline(path, environment="prod").problems

    assert (Path(problem.file).name, problem.line, problem.column) == ("flights.prod.yaml", 2, 1)
    assert (problem.field, problem.message) == ("owner", "is missing")


def test_null_with_nothing_below_hides_no_slip(beside: Callable[..., Path]) -> None:
    (problem,) = examine_pipeline(beside(flights__prod="runbok: null\n"), environment="prod").problems

    assert (problem.field, problem.suggestion) == ("runbok", "runbook")


def test_in_free_parameters_null_is_a_value(beside: Callable[..., Path], flights: str) -> None:
    text = flights.replace("  test: 2\n", "  test: 2\n  params: {depth: 3, leaf: 4}\n")

    spec = examine_pipeline(beside(text, flights__prod="train: {params: {depth: null}}"), environment="prod").spec

    assert spec is not None
    assert spec.train is not None
    assert spec.train.params == {"depth": None, "leaf": 4}


def test_the_order_is_defaults_their_overlay_the_pipeline_its_overlay(
    beside: Callable[..., Path], flights: str
) -> None:
    path = beside(
        flights.replace("mode: automatic", "timeout: 3h"),
        _defaults="promotion: {timeout: 1h}\nmonitor: {drift: {floor: 0.1, fdr: 0.1}}\nrunbook: a\n",
        _defaults__prod="promotion: {timeout: 2h}\nmonitor: {drift: {floor: 0.2}}\nrunbook: b\n",
        flights__prod="runbook: d\n",
    )

    spec = examine_pipeline(path, environment="prod").spec

    assert spec is not None
    assert spec.monitor is not None
    assert (spec.monitor.drift.floor, spec.monitor.drift.fdr) == (0.2, 0.1)
    assert (spec.promotion.timeout.total_seconds(), spec.runbook) == (3 * 3600, "d")


def test_defaults_of_the_folders_above_hold_too_and_the_nearer_wins(
    beside: Callable[..., Path], flights: str, tmp_path: Path
) -> None:
    beside(_defaults="runbook: far\nalerts: {channels: [log], deadline: 1h}\n")
    team = tmp_path / "dags" / "team"
    team.mkdir()
    (team / "_defaults.yaml").write_text("runbook: near\n")
    (team / "flights.yaml").write_text(flights)

    spec = load_pipeline(team / "flights.yaml")

    assert (spec.runbook, spec.alerts.channels) == ("near", ("log",))


def test_defaults_switch_no_stage_on(beside: Callable[..., Path], flights: str) -> None:
    defaults = "train: {seed: 3}\nmonitor: {horizons: [2]}\nretrain: {cooldown: 9}\nscore: {ahead: 2}\n"
    etl_only = flights[: flights.index("features:")]

    assert load_pipeline(beside(etl_only, _defaults=defaults)).stages == ["etl"]
    spec = load_pipeline(beside(flights, _defaults=defaults))
    assert spec.train is not None
    assert spec.monitor is not None
    assert (spec.train.seed, spec.monitor.horizons, spec.retrain.cooldown) == (3, (2,), 3)


@pytest.mark.parametrize(
    ("others", "place", "words"),
    [
        ({"_defaults": "# ours\nalert: {deadline: 1h}\n"}, ("_defaults.yaml", 2, 1), "did you mean `alerts`?"),
        ({"_defaults": "alerts:\n  deadline: 2h\n  chanels: []"}, ("_defaults.yaml", 3, 3), "did you mean `channels`"),
        ({"_defaults": "runbook: [a]"}, ("_defaults.yaml", 1, 1), "found a list"),
        ({"_defaults": "pipeline: other"}, ("_defaults.yaml", 1, 1), "the pipeline's own file and nowhere else"),
        ({"_defaults": "datasets: {}"}, ("_defaults.yaml", 1, 1), "defaults name no datasets"),
        ({"_defaults": "runbook: a\nrunbook: b\n"}, ("_defaults.yaml", 2, 1), "the first is in line 1"),
        ({"_defaults": "runbook: {a\n"}, ("_defaults.yaml", 1, 1), "is the `{` closed?"),
        ({"flights__prod": "\nschedule: '0 6 * *'\n"}, ("flights.prod.yaml", 2, 11), "4 fields"),
        ({"flights__prod": "train: {test: 9}\n"}, ("flights.prod.yaml", 1, 15), "must be smaller than `window` (8)"),
        ({"flights__prod": "pipeline: other\n"}, ("flights.prod.yaml", 1, 1), "and nowhere else"),
        ({"flights__prod": "gates: [{metric: auc}]\n"}, ("flights.prod.yaml", 1, 18), "expected roc_auc"),
        ({"flights__prod": "datasets: {carriers: {sql: include/no.sql}}"}, ("flights.prod.yaml", 1, 28), "no file"),
        ({"flights__prod": "datasets: {other: {sql: include/carriers.sql}}"}, ("flights.prod.yaml", 1, 12), "reads"),
        ({"flights__prod": "train: {window: null}"}, ("flights.prod.yaml", 1, 9), "is missing"),
    ],
)
def test_a_mistake_is_shown_in_the_file_that_made_it(
    others: dict[str, str], place: tuple[str, int, int], words: str, beside: Callable[..., Path]
) -> None:
    found = examine_pipeline(beside(**others), environment="prod" if "flights__prod" in others else "").problems

    assert {(Path(one.file).name, one.line, one.column) for one in found} == {place}
    assert words in found[0].text()
    assert found[0].source_line == (Path(found[0].file).read_text().splitlines() or [""])[found[0].line - 1]


def test_without_the_variable_there_is_no_overlay(beside: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = beside(flights__prod="owner: prod@example.com\n")

    assert load_pipeline(path).owner == "data@example.com"
    monkeypatch.setenv("TRADEWIND_ENV", "prod")
    assert load_pipeline(path).owner == "prod@example.com"


@pytest.mark.parametrize("name", ["flights", "_defaults"])
def test_a_slip_in_the_environments_name_never_runs_with_other_settings(
    name: str, beside: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = beside(**{f"{name}__prod": "owner: prod@example.com\n", f"{name}__dev": "", "_defaults": ""})
    monkeypatch.setenv("TRADEWIND_ENV", "prd")

    with pytest.raises(SpecError) as caught:
        load_pipeline(path)

    assert f"TRADEWIND_ENV is `prd`, and there is no {name}.prd.yaml here, only" in str(caught.value)
    assert f"{name}.dev.yaml and {name}.prod.yaml; did you mean `prod`?" in str(caught.value)
    monkeypatch.setenv("TRADEWIND_ENV", "dev")
    assert load_pipeline(path).owner == "data@example.com"


def test_a_pipeline_without_overlays_is_the_same_in_every_environment(
    beside: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEWIND_ENV", "prod")

    assert load_pipeline(beside()).owner == "data@example.com"


def test_an_environments_name_is_no_path(beside: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "dags" / "flights.x").mkdir(parents=True)
    (tmp_path / "evil.yaml").write_text("owner: evil\n")
    path = beside(flights__prod="")

    examined = examine_pipeline(path, environment="x/../../evil")

    assert examined.spec is not None
    assert examined.spec.owner == "data@example.com"
    assert "there is no" in examined.problems[0].message


def test_an_overlay_is_checked_upon_its_pipeline(beside: Callable[..., Path]) -> None:
    overlay = beside(flights__prod="ownr: x\n").with_name("flights.prod.yaml")

    (problem,) = list_problems(overlay)

    assert (problem.file, problem.suggestion) == (str(overlay), "owner")


def test_defaults_alone_are_no_pipeline(beside: Callable[..., Path], tmp_path: Path) -> None:
    (problem,) = list_problems(beside(_defaults="").with_name("_defaults.yaml"))
    (orphan,) = list_problems(tmp_path / "dags" / "gone.prod.yaml")

    assert "checked with the pipelines" in problem.message
    assert orphan.message == "an overlay of gone.yaml, which does not exist"


def test_the_environments_of_a_pipeline_are_its_overlays(beside: Callable[..., Path]) -> None:
    path = beside(flights__prod="", flights__dev="", flights2__test="", _defaults__qa="")

    assert overlay_environments(path) == ["dev", "prod"]
    assert [name for name in ("a.yaml", "a.prod.yaml", "_defaults.yaml", ".a.yaml") if is_pipeline(Path(name))] == [
        "a.yaml"
    ]


def test_the_hash_is_of_effective_values(beside: Callable[..., Path], flights: str) -> None:
    def hashed(path: Path, environment: str = "") -> str:
        spec = examine_pipeline(path, environment=environment).spec
        assert spec is not None
        return config_hash(spec.datasets["flights"], spec.train)

    plain = hashed(beside())
    seeded = hashed(beside(flights.replace("  window: 8", "  seed: 5\n  window: 8")))
    moved = beside(_defaults="train: {seed: 5}", flights__prod="datasets: {flights: {keys: [other]}}")

    assert hashed(moved) == seeded != plain
    assert hashed(moved, "prod") not in (seeded, plain)


@pytest.mark.parametrize("name", ["_defaults.yml", "_defaults.prod.yml", "flights.prod.yml"])
def test_a_layer_that_would_not_be_read_is_told(name: str, beside: Callable[..., Path]) -> None:
    path = beside()
    path.with_name(name).write_text("owner: x@example.com\n")

    (problem,) = examine_pipeline(path, environment="prod").problems

    assert f"{name} beside it is not read; it must be called {name.replace('.yml', '.yaml')}" in problem.message


def test_a_parameter_of_the_model_may_be_null_and_cannot_stand_twice(beside: Callable[..., Path], flights: str) -> None:
    params = "  test: 2\n  params:\n    depth:\n    rate: 1\n    rate: 2\n"

    (problem,) = list_problems(beside(flights.replace("  test: 2\n", params)))

    assert (problem.field, "is there twice" in problem.message) == ("train.params.rate", True)


def test_a_name_that_no_file_can_have_is_told(beside: Callable[..., Path], flights: str) -> None:
    (problem,) = list_problems(beside(flights.replace("include/carriers.sql", f"include/{'a' * 300}.sql")))

    assert "too long" in problem.message

"""One training of the example on 63 days of flights, by Tradewind's stages or by a script of one's own.

``training.py make|ours|bare FOLDER``; ``ours`` and ``bare`` print what it took as JSON. Imports count for nobody: a
task is forked from a process that has them.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from tests.local_runtime import local_runtime

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.spec.load import load_pipeline
from tradewind.spec.pipeline import Pipeline

PROJECT = Path(__file__).resolve().parents[2]
WINDOW = 9
CHAMPION, CANDIDATE = WINDOW, WINDOW + 4  # weeks at whose end they are trained, counted from 1
TEST = 2


def pipeline() -> Pipeline:
    """The example with a window of nine weeks, two of which judge; no gate turns a model away."""
    spec = load_pipeline(PROJECT / "dags" / "flight_delay.yaml")
    assert spec.train is not None
    return spec.model_copy(update={"train": spec.train.model_copy(update={"window": WINDOW, "test": TEST})})


def runtime(folder: Path) -> Runtime:
    """Everything below one folder; this process may fork."""
    return local_runtime(folder, project=PROJECT, warm=True)


def week(spec: Pipeline, number: int) -> str:
    """Key of the ``number``-th week, counted from 1."""
    return spec.partitioning.shift(spec.start, number - 1)


def make(folder: Path) -> None:
    """The lake of thirteen weeks, and a champion trained on the first nine."""
    from tradewind.champion.promotion import promote_passed_candidate
    from tradewind.etl.dataset_build import build_dataset
    from tradewind.local_airflow.flight_landing import deliver_flights
    from tradewind.spec.dataset_order import dataset_order
    from tradewind.training.candidate import train_candidate
    from tradewind.verdict.judgement import judge_candidate_version

    spec, places = pipeline(), runtime(folder)
    keys = spec.partitioning.between(spec.start, week(spec, CANDIDATE))
    deliver_flights(folder / "landing", [day for key in keys for day in spec.partitioning.days(key)], schedule=[])
    for key in keys:
        for name in dataset_order(spec.datasets):
            build_dataset(Deployment(spec, places), name, key)
    for stage in (train_candidate, judge_candidate_version, partial(promote_passed_candidate, actor="benchmark")):
        print(stage(spec, week(spec, CHAMPION), places), file=sys.stderr)


def ours(folder: Path) -> dict[str, Any]:
    """Training set, fit, logging and registration; then the verdict against the champion: each a fork, as tasks are."""
    from tradewind.operators.warm_start import import_libraries
    from tradewind.training.candidate import train_candidate
    from tradewind.verdict.judgement import judge_candidate_version

    import_libraries()
    spec, places = pipeline(), runtime(folder)
    key = week(spec, CANDIDATE)
    begun = time.perf_counter()
    forked(lambda: train_candidate(Deployment(spec, places), key), folder / "trained.json")
    after = time.perf_counter()
    forked(lambda: asdict(judge_candidate_version(Deployment(spec, places), key)), folder / "verdict.json")
    ended = time.perf_counter()
    found = json.loads((folder / "verdict.json").read_text())
    assert found["champion"] is not None
    assert all(gate["outcome"] in ("pass", "fail") for gate in found["gates"]), found
    auc = next(
        gate["value"]
        for gate in found["gates"]
        if (gate["metric"], gate["versus"], gate["slice"]) == ("roc_auc", None, None)
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    return {"seconds": ended - begun, "train": after - begun, "verdict": ended - after, "cpu": cpu, "auc": auc}


def forked(work: Callable[[], Any], answer: Path) -> None:
    """Do it in a fork of this process, which has imported everything and used nothing; what it returns is in a file."""
    child = os.fork()
    if not child:
        code = 1
        try:
            answer.write_text(json.dumps(work(), default=str))
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the stage failed; its log is on standard error"


QUERY = """
SELECT f.*, c.carrier_late_share, c.carrier_cancelled_share, r.route_late_share, o.origin_late_share
FROM (SELECT * FROM read_parquet({flights}, hive_partitioning = true, hive_types_autocast = false)
      WHERE late IS NOT NULL AND partition IN {keys} AND scheduled_at + INTERVAL 1 DAY <= TIMESTAMPTZ '{end}') f
JOIN (SELECT unnest({keys}) AS partition, unnest({starts})::TIMESTAMPTZ AS known) USING (partition)
ASOF LEFT JOIN read_parquet({carrier_week}) c ON f.carrier = c.carrier AND known >= c.known_at
ASOF LEFT JOIN read_parquet({route_week}) r ON f.route = r.route AND known >= r.known_at
ASOF LEFT JOIN read_parquet({origin_week}) o ON f.origin = o.origin AND known >= o.known_at
ORDER BY partition, scheduled_at, flight_id
"""


def bare(folder: Path) -> dict[str, Any]:
    """The same rows by DuckDB, the same estimator, the same predictions of both models, the metric; nothing is kept."""
    import duckdb
    import numpy  # noqa: F401  # loaded before the clock runs
    import pandas  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    from sklearn.metrics import roc_auc_score

    sys.path.insert(0, str(PROJECT / "include"))
    from flight_delay.model import build_model

    sets = [_query(folder, number) for number in (CANDIDATE, CHAMPION)]
    champion = _fit(duckdb.sql(sets[1]).df(), build_model)[0]  # somebody trained it before
    begun, worked = time.perf_counter(), time.process_time()
    rows = duckdb.sql(sets[0]).df()
    model, test, fit_seconds, fit_cpu = _fit(rows, build_model)
    fitted, fitted_cpu = time.perf_counter(), time.process_time()
    predicted = [one.predict_proba(test[_columns()])[:, 1] for one in (model, champion)]
    both = fit_seconds + time.perf_counter() - fitted, fit_cpu + time.process_time() - fitted_cpu
    auc = [roc_auc_score(test["late"].astype(int), one) for one in predicted]
    whole, cpu = time.perf_counter() - begun, time.process_time() - worked
    found = {"seconds": whole, "cpu": cpu, "fit_and_predict": both[0], "fit_and_predict_cpu": both[1]}
    return {**found, "auc": auc[0], "rows": len(rows)}


def _query(folder: Path, number: int) -> str:
    from deltalake import DeltaTable

    spec = pipeline()
    keys = spec.partitioning.between(week(spec, number - WINDOW + 1), week(spec, number))
    names = ("flights", "carrier_week", "route_week", "origin_week")
    files = {name: DeltaTable(folder / "lake" / "flight_delay" / name).file_uris() for name in names}
    starts = [spec.partitioning.bounds(key).start.isoformat() for key in keys]
    return QUERY.format(**files, keys=keys, starts=starts, end=spec.partitioning.bounds(keys[-1]).end.isoformat())


def _columns() -> list[str]:
    spec = pipeline()
    assert spec.train is not None
    shares = ["carrier_late_share", "carrier_cancelled_share", "route_late_share", "origin_late_share"]
    return [*spec.train.columns, *shares]


def _fit(rows: Any, build_model: Any) -> tuple[Any, Any, float, float]:
    """Fitted on all but the last weeks and the day before; the rows of the last weeks, seconds, CPU seconds."""
    import pandas as pd

    spec = pipeline()
    assert spec.train is not None
    keys = sorted(rows["partition"].unique())
    judge = pd.Timestamp(spec.partitioning.bounds(keys[-TEST]).start)
    fit = rows[rows["scheduled_at"] < judge - pd.Timedelta(days=1)]
    test = rows[rows["partition"].isin(keys[-TEST:])]
    numbers = rows.select_dtypes("number").columns
    fit, test = (part.astype(dict.fromkeys(numbers, "float64")) for part in (fit, test))
    begun, worked = time.perf_counter(), time.process_time()
    model = build_model({"random_state": spec.train.seed})
    model.fit(fit[_columns()], fit["late"].astype(int))
    return model, test, time.perf_counter() - begun, time.process_time() - worked


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2])
    if what == "make":
        make(where)
    else:
        print(json.dumps({"ours": ours, "bare": bare}[what](where)), flush=True)
    os._exit(0)  # threads of the native libraries may abort an interpreter that is taken down

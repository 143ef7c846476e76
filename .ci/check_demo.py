"""Check a demo's numbers by other means: delivered CSVs against the lake, predictions against outcomes."""

from __future__ import annotations

import argparse
import csv
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

KNOWN = {"2013-01-28": 6063, "2013-03-25": 6550}
NOT_RESULTS = ("seconds", "total_seconds", "airflow", "mlflow")


def delivered(landing: Path, kind: str, week: str) -> list[dict[str, str]]:
    """The rows of a week's seven daily files."""
    monday = date.fromisoformat(week)
    days = [(monday + timedelta(days=n)).isoformat() for n in range(7)]
    return [row for day in days for row in csv.DictReader((landing / kind / f"{day}.csv").open())]


def flight(row: dict[str, str]) -> str:
    """A flight's identity, spelled from the delivered columns."""
    day = f"{int(row['year']):04}{int(row['month']):02}{int(row['day']):02}"
    return f"{row['carrier']}-{row['flight']}-{day}-{row['origin']}"


def outcomes(landing: Path, week: str) -> dict[str, bool | None]:
    """By flight: later than 15 minutes; None if it never arrived."""
    rows = delivered(landing, "flights", week)
    return {flight(row): None if row["arr_delay"] == "NA" else float(row["arr_delay"]) > 15 for row in rows}


def lake_rows(home: Path, dataset: str) -> dict[str, list[dict[str, Any]]]:
    """Rows of a table by partition."""
    from deltalake import DeltaTable

    found: dict[str, list[dict[str, Any]]] = {}
    for row in DeltaTable(home / "lake" / "flight_delay" / dataset).to_pyarrow_table().to_pylist():
        found.setdefault(row["partition"], []).append(row)
    return found


def check_flights(home: Path, weeks: list[str]) -> None:
    """Exactly the delivered flights are published, with the right outcome."""
    published = lake_rows(home, "flights")
    assert sorted(published) == weeks, sorted(published)
    for week in weeks:
        truth = outcomes(home / "landing", week)
        rows = published[week]
        assert len(rows) == len(truth) == len(delivered(home / "landing", "flights", week)), week
        assert len(rows) == KNOWN.get(week, len(rows)), (week, len(rows))
        assert {row["flight_id"]: row["late"] for row in rows} == truth, week


def check_predictions(home: Path, result: dict[str, Any], *, scored: int) -> None:
    """Every flight of a scored week is predicted once; the realised AUC is what scikit-learn computes."""
    from sklearn.metrics import roc_auc_score

    predicted = lake_rows(home, "predictions")
    for week, rows in predicted.items():
        wanted = sorted(flight(row) for row in delivered(home / "landing", "schedule", week))
        assert sorted(row["flight_id"] for row in rows) == wanted, week
        assert all(0 <= row["probability"] <= 1 for row in rows), week
        assert len({row["prediction_id"] for row in rows}) == len(rows), week
    realised = {row["population"]: row for row in result["realised"]}
    assert len(realised) >= scored, f"{len(realised)} weeks have a realised value, {scored} were expected"
    for week, told in realised.items():
        truth = outcomes(home / "landing", week)
        known = [(truth[row["flight_id"]], row["probability"]) for row in predicted[week]]
        late, score = zip(*[pair for pair in known if pair[0] is not None], strict=True)
        auc = roc_auc_score(late, score)
        assert abs(auc - told["value"]) < 1e-9, f"{week}: the table says {told['value']}, the predictions {auc}"
        print(f"  {week}: ROC AUC {auc:.4f} over {len(late)} flights, as the table says")


def check_story(result: dict[str, Any], weeks: list[str]) -> None:
    """One decision a week with its reason; champions come from a verdict that passed, and hold for later weeks only."""
    assert not result["quarantined"], result["quarantined"]
    assert sorted(row["partition"] for row in result["decisions"]) == weeks
    assert all(row["reason"] for row in result["decisions"])
    passed = {row["version"]: row for row in result["versions"] if row["verdict"] == "passed"}
    for version in result["versions"]:
        if (judged := passed.get(version["refit_of"] or "")) is not None:
            # What serves has learned from the weeks that judged it, and from nothing else.
            whole = [*judged["train_partitions"], *judged["test_partitions"]]
            assert version["train_partitions"] == whole, version
    assert result["champions"], "no champion"
    for change in result["champions"]:
        assert change["version"] in passed, change
        assert change["effective_from"] > change["decided_at"], change
        assert passed[change["version"]]["refit_of"], change  # the example asks for a refit


def results(path: Path) -> dict[str, Any]:
    """``demo.json`` without what differs from run to run."""
    return {name: value for name, value in json.loads(path.read_text()).items() if name not in NOT_RESULTS}


def main() -> None:
    """Check one demo home."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--partitions", type=int, required=True, help="weeks that were replayed")
    parser.add_argument("--scored", type=int, required=True, help="weeks that must have a realised value")
    parser.add_argument("--same-as", type=Path, help="an earlier demo.json; all must be equal, table versions too")
    given = parser.parse_args()
    weeks = [(date(2013, 1, 28) + timedelta(weeks=n)).isoformat() for n in range(given.partitions)]
    result = results(given.home / "demo.json")
    check_flights(given.home, weeks)
    check_predictions(given.home, result, scored=given.scored)
    check_story(result, weeks)
    if given.same_as:
        before = results(given.same_as)
        assert result == before, [name for name in result if result[name] != before.get(name)]
    print(f"demo: {len(weeks)} weeks hold what was delivered, {len(result['realised'])} realised values are right")


if __name__ == "__main__":
    main()

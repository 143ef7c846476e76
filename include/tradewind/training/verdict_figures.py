"""The pictures of a verdict, drawn: from :class:`picture_data.VerdictPictures` and the gates' results to HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tradewind.metrics.metric_list import METRICS
from tradewind.pages import charts
from tradewind.pages.charts import Axis, Bar, Series
from tradewind.pages.formatting import NOTHING, format_count, format_number
from tradewind.pages.layout import html_table
from tradewind.training.picture_data import VerdictPictures

_MODELS = ("candidate", "champion")
_UNIT_RANGE = (0.0, 1.0)


def render_verdict_figures(drawn: VerdictPictures, gates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every picture that there is something to show in, the most telling first.

    :param gates: the results of the verdict's entry
    """
    found = [_over_time(drawn), *render_slice_figures(gates)]
    if drawn.task == "regression":
        found += [_predicted_and_observed(drawn), _residuals(drawn)]
    else:
        found += [_reliability(drawn)]
    if drawn.task == "binary":
        found += [_roc(drawn), _precision_recall(drawn)]
    if drawn.confusion:
        note = "Candidate, counts of rows; the darker, the larger the share of its row."
        found.append(
            charts.confusion_matrix(
                "What was taken for what", drawn.confusion["classes"], drawn.confusion["counts"], note=note
            )
        )
    return [*filter(None, found), *render_importance_figure(drawn.importance)]


def render_metrics_table(drawn: VerdictPictures) -> str:
    """Every metric of everybody on the same rows, as a table; empty if nothing was measured."""
    whose = list(dict.fromkeys(name for values in drawn.board.values() for name in values))
    if not whose:
        return ""
    rows = [
        [
            f"{metric} {'↑' if METRICS[metric].greater_is_better else '↓'}",
            *(format_number(values.get(name)) for name in whose),
        ]
        for metric, values in drawn.board.items()
    ]
    return f"{html_table(['', *whose], rows)}<p><small>↑ more is better, ↓ less is better.</small></p>"


def render_slice_figures(gates: Sequence[Mapping[str, Any]]) -> list[str]:
    """For every gate that judges slices, their values with intervals beside the bound."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for result in gates:
        if result["slice"] and result["value"] is not None:
            groups.setdefault((result["gate"], result["metric"]), []).append(result)
    found = []
    for (gate, metric), results in groups.items():
        ranked = sorted(results, key=lambda one: one["value"])[:40]
        shown = [
            Bar(f"{one['slice']}, {format_count(one['rows'], 'row')}", *_value_and_interval(one)) for one in ranked
        ]
        note = f"{gate}. Dot: the value; line: its interval; upright: the bound."
        note += f" The {len(ranked)} smallest of {len(results)} are shown." if len(results) > len(ranked) else ""
        found.append(
            charts.bar_chart("By slice", shown, unit=metric, note=note, from_zero=False, limit=results[0]["bound"])
        )
    return found


def render_importance_figure(features: Sequence[Mapping[str, Any]], *, most: int = 15) -> list[str]:
    """Permutation importance with its spread."""
    if not features:
        return []
    shown = [
        Bar(one["feature"], one["mean"], one["mean"] - one["std"], one["mean"] + one["std"]) for one in features[:most]
    ]
    note = "How much worse the candidate gets when a column is shuffled, mean and standard deviation over repeats."
    note += f" The {most} largest of {len(features)}." if len(features) > most else ""
    return [charts.bar_chart("What the candidate relies on", shown, unit="loss", note=note)]


def _value_and_interval(result: Mapping[str, Any]) -> tuple[float, float | None, float | None]:
    return result["value"], result["low"], result["high"]


def _over_time(drawn: VerdictPictures) -> str:
    blocks = drawn.blocks
    series = []
    for name in _MODELS:
        points = [(float(at), one[name]) for at, one in enumerate(blocks) if one.get(name) is not None]
        series.append(Series(name, points, _series_style(name), dots=True))
    if not any(one.points for one in series):
        return ""
    whose = [name for name in _MODELS if any(name in one for one in blocks)]
    rows = [[one["block"], f"{one['rows']:,}", *(format_number(one.get(name)) for name in whose)] for one in blocks]
    # With one block there is nothing between the ends of an axis.
    span = (0.0, float(len(blocks) - 1)) if len(blocks) > 1 else (-0.5, 0.5)
    axis = Axis("", span, [one["block"] for one in blocks])
    better = "more" if METRICS[drawn.metric].greater_is_better else "less"
    return charts.line_chart(
        f"{drawn.metric} by {drawn.by}",
        [one for one in series if one.points],
        x=axis,
        y=Axis(drawn.metric),
        note=f"{better.capitalize()} is better. Each {drawn.by} on which it has no value is left out.",
        numbers=html_table([drawn.by, "rows", *whose], rows),
    )


def _reliability(drawn: VerdictPictures) -> str:
    found = {name: bins for name, bins in drawn.reliability.items() if bins}
    if not found:
        return ""
    most = max(one["rows"] for bins in found.values() for one in bins)
    series = [Series("", [(0, 0), (1, 1)], "guide")]
    rows = []
    for name, bins in found.items():
        points = [(one["predicted"], one["observed"]) for one in bins]
        series.append(Series(name, points, _series_style(name), dots=True, sizes=[one["rows"] / most for one in bins]))
        for one in bins:
            edges = f"{format_number(one['low'])} – {format_number(one['high'])}"
            rows.append(
                [name, edges, f"{one['rows']:,}", format_number(one["predicted"]), format_number(one["observed"])]
            )
    return charts.line_chart(
        "Is a probability what it says?",
        series,
        x=Axis("predicted" if drawn.task == "binary" else "predicted, of the predicted class", _UNIT_RANGE),
        y=Axis("observed", _UNIT_RANGE),
        note="On the dotted line, of the rows predicted at 30 % three in ten are. The larger a dot, the more rows.",
        numbers=html_table(["whose", "between", "rows", "predicted", "observed"], rows),
    )


def _roc(drawn: VerdictPictures) -> str:
    return _curves(
        "ROC curve",
        drawn.roc,
        [(0, 0), (1, 1)],
        x="false positive rate",
        y="true positive rate",
        metric="roc_auc",
        drawn=drawn,
    )


def _precision_recall(drawn: VerdictPictures) -> str:
    share = drawn.positive_share or 0.0
    guess = [(0.0, share), (1.0, share)]
    return _curves(
        "Precision and recall", drawn.precision_recall, guess, x="recall", y="precision", metric="average_precision",
        drawn=drawn,
    )  # fmt: skip


def _curves(
    title: str,
    curves: Mapping[str, Sequence[Sequence[float]]],
    guess: Sequence[tuple[float, float]],
    *,
    x: str,
    y: str,
    metric: str,
    drawn: VerdictPictures,
) -> str:
    if not any(curves.values()):
        return ""
    series = [Series("", guess, "guide")]
    areas = drawn.board.get(metric, {})
    for name, points in curves.items():
        series.append(
            Series(f"{name} {format_number(areas.get(name))}", [(px, py) for px, py in points], _series_style(name))
        )
    every = max(1, max(map(len, curves.values())) // 20)
    rows = [
        [name, format_number(px), format_number(py)]
        for name, points in curves.items()
        for px, py in list(points)[::every]
    ]
    note = f"The area under it is {metric}; dotted: guessing." if metric == "roc_auc" else "Dotted: guessing."
    numbers = html_table(["whose", x, y], rows)
    return charts.line_chart(title, series, x=Axis(x, _UNIT_RANGE), y=Axis(y, _UNIT_RANGE), note=note, numbers=numbers)


def _predicted_and_observed(drawn: VerdictPictures) -> str:
    found = {name: tenths for name, tenths in drawn.deciles.items() if tenths}
    if not found:
        return ""
    ends = [one[key] for tenths in found.values() for one in tenths for key in ("predicted", "observed")]
    span = (min(ends), max(ends))
    series = [Series("", [(span[0], span[0]), (span[1], span[1])], "guide")]
    series += _tenth_series(found, "observed", spread=("low", "high"))
    return charts.line_chart(
        "Predicted and observed, by tenths",
        series,
        x=Axis("mean predicted"),
        y=Axis("mean observed"),
        note="On the dotted line predictions are right on average; bars: the middle 80 % of what was observed.",
        numbers=_tenths_table(found, ("predicted", "observed", "low", "high")),
    )


def _residuals(drawn: VerdictPictures) -> str:
    found = {name: tenths for name, tenths in drawn.deciles.items() if tenths}
    if not found:
        return ""
    ends = [one["predicted"] for tenths in found.values() for one in tenths]
    series = [Series("", [(min(ends), 0), (max(ends), 0)], "guide")]
    series += _tenth_series(found, "residual", spread=("residual_low", "residual_high"))
    return charts.line_chart(
        "Residuals, by tenths",
        series,
        x=Axis("mean predicted"),
        y=Axis("observed minus predicted"),
        note="Away from the dotted line it is wrong in one direction; bars: the middle 80 %.",
        numbers=_tenths_table(found, ("predicted", "residual", "residual_low", "residual_high")),
    )


def _tenth_series(
    found: Mapping[str, Sequence[Mapping[str, Any]]], value: str, *, spread: tuple[str, str]
) -> list[Series]:
    """A value over what was predicted, one series a model; the candidate's with bars."""
    low, high = spread
    series = []
    for name, tenths in found.items():
        points = [(one["predicted"], one[value]) for one in tenths]
        spreads = [(one[low], one[high]) for one in tenths] if name == "candidate" else []
        series.append(Series(name, points, _series_style(name), dots=True, spreads=spreads))
    return series


def _tenths_table(found: Mapping[str, Sequence[Mapping[str, Any]]], names: Sequence[str]) -> str:
    head = ["whose", "rows", *(name.replace("_", " ") for name in names)]
    rows = [
        [name, f"{one['rows']:,}", *(format_number(one[key]) for key in names)]
        for name, tenths in found.items()
        for one in tenths
    ]
    return html_table(head, rows) if rows else NOTHING


def _series_style(name: str) -> charts.Look:
    return "candidate" if name == "candidate" else "champion" if name == "champion" else "other"

"""What a candidate takes, what it relies on and how its answer follows, as one HTML page logged beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from tradewind.pages import charts, layout
from tradewind.pages.charts import Axis, Bar, Series
from tradewind.pages.formatting import first_few, format_count, format_number
from tradewind.training.verdict_figures import render_importance_figure

if TYPE_CHECKING:
    from tradewind.spec.pipeline import Pipeline

_LIMITATIONS = (
    "It shows what the model relies on, not what causes the outcome: a column can matter because it moves together "
    "with something that is not in the data. Changing it in the world need not change the outcome.",
    "Columns that tell the same share their importance: each can look unimportant, because the other stands in for it "
    "while it is shuffled.",
    "It holds on average, for the rows that it was measured on. It explains no single prediction.",
    "The curves give all rows the same value, also where such rows do not exist; away from the data they are guesses.",
    "That a column is unimportant does not make the model fair to groups that it tells apart: that is measured by the "
    "gates of the verdict.",
)


def render_explanation_page(spec: Pipeline, explanation: Mapping[str, Any]) -> str:
    """A self-contained HTML page.

    :param explanation: ``importance`` (feature, mean, std, values; largest first) and, where they are known,
        ``partition``, ``metric``, ``rows``, ``dependence`` (feature, kind, x, y, output), ``columns`` (name, type),
        ``warnings``, ``model`` and ``params``
    """
    at = str(explanation.get("partition") or "")
    body = [
        f'<p class="soft">Explanation · {escape(spec.pipeline)} · {escape(at)}</p>',
        f"<h1>What the candidate of {escape(at or 'this training')} relies on</h1>",
        f"<p><b>{escape(_summary(explanation['importance']))}</b></p>",
        f"<p>{escape(_describe_method(explanation))}</p>",
        *_warnings(explanation.get("warnings", ())),
        f'<div class="figures">{"".join(_figures(explanation))}</div>',
        f"<h2>What this does not say</h2><ul>{''.join(f'<li>{escape(said)}</li>' for said in _LIMITATIONS)}</ul>",
        *_inputs_and_facts(spec, explanation),
    ]
    return layout.page_document(f"{spec.pipeline}: explanation, {at}", "\n".join(body), style=charts.STYLE)


def _summary(features: Sequence[Mapping[str, Any]]) -> str:
    """In words, what stands out of its own spread."""
    if not features:
        return "The importance of its columns could not be measured: the metric has no value on these rows."
    ranked = sorted(features, key=lambda one: -one["mean"])
    clear = [str(one["feature"]) for one in ranked if one["mean"] > 2 * one["std"] and one["mean"] > 0]
    if not clear:
        return "No single column stands out: shuffling any one of them changes hardly more than chance does."
    rest = len(ranked) - len(clear)
    left = f" Of {format_count(rest, 'other column')} it takes little or nothing by itself." if rest else ""
    return f"It relies on {first_few(clear, most=4)}.{left}"


def _describe_method(explanation: Mapping[str, Any]) -> str:
    rows = (
        f"on {format_count(explanation['rows'], 'row')} that it has not learned from" if explanation.get("rows") else ""
    )
    metric = explanation.get("metric") or "the metric"
    repeats = max((len(one.get("values", ())) for one in explanation["importance"]), default=0)
    times = f", {repeats} times" if repeats else ""
    return (
        f"Measured {rows}: each column is shuffled by itself{times}, and {metric} gets so much worse. "
        "The spread is the standard deviation over these repeats; what is not clear of zero may be chance."
    ).replace("  ", " ")


def _warnings(warnings: Sequence[str]) -> Iterator[str]:
    if warnings:
        text = "".join(f"<li>{layout.mark_code(warning)}</li>" for warning in warnings)
        yield f'<h2 class="odd">{format_count(len(warnings), "warning")}</h2><ul>{text}</ul>'


def _figures(explanation: Mapping[str, Any]) -> Iterator[str]:
    yield from render_importance_figure(explanation["importance"], most=25)
    for one in explanation.get("dependence", ()):
        yield _dependence(one)


def _dependence(one: Mapping[str, Any]) -> str:
    """How the mean answer follows one feature."""
    output = str(one.get("output") or "mean prediction")
    title, note = f"{one['feature']}", f"Mean {output}, if every row had this value."
    if one["kind"] == "category":
        found = [Bar(str(name), value) for name, value in zip(one["x"], one["y"], strict=True)]
        return charts.bar_chart(title, found, unit=output, note=note)
    points = [(float(x), float(y)) for x, y in zip(one["x"], one["y"], strict=True)]
    numbers = layout.html_table(
        [str(one["feature"]), output], [[format_number(x), format_number(y)] for x, y in points]
    )
    series = [Series("", points, "candidate", dots=True)]
    return charts.line_chart(title, series, x=Axis(str(one["feature"])), y=Axis(output), note=note, numbers=numbers)


def _inputs_and_facts(spec: Pipeline, explanation: Mapping[str, Any]) -> Iterator[str]:
    if columns := explanation.get("columns"):
        rows = [[str(one["name"]), str(one["type"])] for one in columns]
        yield f"<h2>What it takes</h2>{layout.html_table(['column', 'type'], rows)}"
    facts = {"Purpose": spec.description, "Owner": spec.owner, "Model": str(explanation.get("model") or "not recorded")}
    params = explanation.get("params")
    facts["Parameters"] = ", ".join(f"{name} = {value!r}" for name, value in params.items()) if params else "none"
    yield f"<h2>Facts</h2>{layout.facts_table(facts)}"

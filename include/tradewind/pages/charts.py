"""Pictures as inline SVG, each with its numbers as a table below: for a screen reader, and for a person who checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from tradewind.pages.formatting import format_bound as as_written
from tradewind.pages.formatting import format_number
from tradewind.pages.layout import html_table

Look = Literal["candidate", "champion", "other", "guide"]
Point = tuple[float, float]

STYLE = """
.figures{display:grid;gap:1rem 1.5rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,23rem),1fr))}
figure{margin:.4rem 0;min-width:0}figcaption{font-weight:600}figcaption small{display:block;font-weight:400}
figure>svg{display:block;height:auto;max-width:36rem;width:100%}
svg text{fill:var(--soft);font:11px system-ui,sans-serif}
svg .axis{stroke:var(--line)}svg .guide{stroke:var(--soft);stroke-dasharray:2 4}
svg .line{fill:none;stroke-width:2}svg .candidate{stroke:var(--one)}
svg .champion{stroke:var(--two);stroke-dasharray:6 3}
svg .other{stroke:var(--other);stroke-dasharray:1 3}svg .dot.candidate{fill:var(--one)}
svg .dot.champion{fill:var(--bg);stroke-dasharray:none}svg .dot.other{fill:var(--other)}
svg .spread{stroke:var(--fg);stroke-width:1.5}svg .column{fill:var(--one)}svg .ground{fill:var(--track)}
svg .good{fill:color-mix(in srgb,var(--ok) 22%,transparent)}svg .limit{stroke:var(--fg);stroke-width:1.5}
svg .value{fill:var(--fg)}svg .whisker{stroke:var(--fg);stroke-width:2}
.key{color:var(--soft);font-size:.85rem;margin:.1rem 0}.key svg{display:inline;height:.8rem;vertical-align:middle;
width:1.8rem}.key span{margin-right:1rem;white-space:nowrap}
figure details{font-size:.85rem;color:var(--soft)}
.matrix th{white-space:nowrap}td.heat{background:color-mix(in srgb,var(--one) calc(var(--share)*45%),transparent)}
"""
_WIDTH, _HEIGHT = 380, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 10, 36


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one kind.

    :param name: for the key below the picture; empty for none
    :param look: whose they are; candidate and champion differ in colour, in their dashes and in their dots
    :param dots: draw every point
    :param spreads: low and high for every point, if there are
    :param sizes: how much each dot weighs, from 0 to 1
    """

    name: str
    points: Sequence[Point]
    look: Look
    line: bool = True
    dots: bool = False
    spreads: Sequence[tuple[float, float]] = ()
    sizes: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """What one direction shows.

    :param span: smallest and largest value; None to take those of the points
    :param labels: text for the places 0, 1, 2 … where the axis does not count
    """

    name: str
    span: tuple[float, float] | None = None
    labels: Sequence[str] = ()


def line_chart(title: str, series: Sequence[Series], *, x: Axis, y: Axis, note: str = "", numbers: str = "") -> str:
    """Lines and dots over two axes, as a figure.

    :param note: what one has to know to read it
    :param numbers: the numbers as HTML, see :func:`tradewind.pages.layout.html_table`
    """
    shown = [one for one in series if one.points]
    across = x.span or _span([point[0] for one in shown for point in one.points])
    heights = [point[1] for one in shown for point in one.points] + [v for one in shown for s in one.spreads for v in s]
    up = y.span or _span(heights, margin=0.06)
    drawn = "".join(_series(one, across, up) for one in shown)
    picture = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(f"{title}: {y.name} over {x.name}")}">'
        f"{_axes(x, y, across, up)}{drawn}</svg>"
    )
    return framed_figure(title, picture + _key([one for one in shown if one.name]), note=note, numbers=numbers)


def framed_figure(title: str, picture: str, *, note: str = "", numbers: str = "") -> str:
    """A picture, given as HTML, with its title, what to know about it, and its numbers."""
    about = f"<small>{escape(note)}</small>" if note else ""
    text = f"<details><summary>The numbers</summary>{numbers}</details>" if numbers else ""
    return f"<figure><figcaption>{escape(title)}{about}</figcaption>{picture}{text}</figure>"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, with a spread around its end if there is one; or, with ``limit``, a value that has to reach it."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


def bar_chart(
    title: str, found: Sequence[Bar], *, unit: str, note: str = "", from_zero: bool = True, limit: float | None = None
) -> str:
    """Bars from the left, one below the other, as a figure; ``from_zero=False`` draws values with their intervals."""
    ends = [end for bar in found for end in (bar.value, bar.low, bar.high) if end is not None]
    ends += [0.0] if from_zero else []
    ends += [limit] if limit is not None else []
    span = _span(ends, margin=0.0 if from_zero else 0.08)
    height = 30 * len(found) + (20 if limit is not None else 4)
    lines = "".join(_bar(bar, 30 * place, span, from_zero, limit) for place, bar in enumerate(found))
    if limit is not None:
        at = _at(limit, span, 0, _WIDTH)
        anchor = "end" if float(at) > _WIDTH / 2 else "start"
        lines += f'<text x="{at}" y="{height - 6}" text-anchor="{anchor}">bound {as_written(limit)}</text>'
    label = escape(f"{title}: {unit} of {len(found)}")
    picture = f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">{lines}</svg>'
    spread = any(bar.low is not None for bar in found)
    rows = [
        [bar.name, format_number(bar.value), *([format_number(bar.low), format_number(bar.high)] if spread else [])]
        for bar in found
    ]
    return framed_figure(
        title, picture, note=note, numbers=html_table(["", unit, *(["from", "to"] if spread else [])], rows)
    )


def interval_bar(value: float, low: float | None, high: float | None, *, bound: float | None, relation: str) -> str:
    """One value with its interval on a line, the bound, and the side on which it passes, for a cell of a table."""
    ends = [end for end in (value, low, high, bound) if end is not None]
    least, most = _span(ends, margin=0.15)
    span, parts = (least, most), []
    if bound is not None:
        at, upwards = float(_at(bound, span, 0, 200)), relation in ("at_least", "lower_bound")
        begin, length = (at, 200 - at) if upwards else (0.0, at)
        parts.append(f'<rect class="good" x="{begin:.1f}" y="3" width="{length:.1f}" height="16"/>')
        parts.append(f'<line class="limit" x1="{at:.1f}" x2="{at:.1f}" y1="1" y2="21"/>')
    if low is not None and high is not None:
        left, right = _at(low, span, 0, 200), _at(high, span, 0, 200)
        parts.append(f'<line class="whisker" x1="{left}" x2="{right}" y1="11" y2="11"/>')
        parts += [f'<line class="whisker" x1="{end}" x2="{end}" y1="7" y2="15"/>' for end in (left, right)]
    parts.append(f'<circle class="value" cx="{_at(value, span, 0, 200)}" cy="11" r="4"/>')
    said = f"value {format_number(value)}" + (
        f", interval {format_number(low)} to {format_number(high)}" if low is not None else ""
    )
    said += f", bound {as_written(bound)}" if bound is not None else ""
    return f'<svg class="interval" viewBox="0 0 200 22" role="img" aria-label="{escape(said)}">{"".join(parts)}</svg>'


def confusion_matrix(title: str, names: Sequence[str], counts: Sequence[Sequence[int]], *, note: str = "") -> str:
    """A confusion matrix as a table whose cells are shaded by their share of the row."""
    head = "".join(f'<th scope="col" class="number">{escape(name)}</th>' for name in names)
    body = []
    for name, row in zip(names, counts, strict=True):
        total = sum(row) or 1
        cells = "".join(f'<td class="number heat" style="--share:{cell / total:.3f}">{cell:,}</td>' for cell in row)
        body.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    inside = f'<thead><tr><th scope="col">is ↓ predicted →</th>{head}</tr></thead><tbody>{"".join(body)}</tbody>'
    return framed_figure(title, f'<div class="wide matrix"><table>{inside}</table></div>', note=note)


def _series(one: Series, across: tuple[float, float], up: tuple[float, float]) -> str:
    places = [(_x(px, across), _y(py, up)) for px, py in one.points]
    parts = []
    if one.line:
        joined = " ".join(f"{px},{py}" for px, py in places)
        parts.append(f'<polyline class="line {one.look}" points="{joined}"/>')
    for (px, _), (low, high) in zip(places, one.spreads, strict=False):
        parts.append(f'<line class="spread" x1="{px}" x2="{px}" y1="{_y(low, up)}" y2="{_y(high, up)}"/>')
    if one.dots:
        sizes = one.sizes or [0.25] * len(places)
        parts += [
            f'<circle class="dot {one.look}" cx="{px}" cy="{py}" r="{2 + 4 * math.sqrt(size):.1f}"/>'
            for (px, py), size in zip(places, sizes, strict=True)
        ]
    return "".join(parts)


def _axes(x: Axis, y: Axis, across: tuple[float, float], up: tuple[float, float]) -> str:
    parts = []
    for tick in _ticks(up):
        at = _y(tick, up)
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{float(at) + 4:.1f}" text-anchor="end">{as_written(tick)}</text>')
    places = _few(len(x.labels)) if x.labels else _ticks(across)
    for tick in places:
        at = _x(tick, across)
        text = x.labels[int(tick)] if x.labels else as_written(tick)
        anchor = (
            "middle" if not x.labels else "start" if tick == places[0] else "end" if tick == places[-1] else "middle"
        )
        parts.append(f'<text x="{at}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="{anchor}">{escape(text)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 5}" text-anchor="middle">{escape(x.name)}</text>')
    upright = (_HEIGHT - _BOTTOM + _TOP) / 2
    parts.append(f'<text transform="translate(10 {upright}) rotate(-90)" text-anchor="middle">{escape(y.name)}</text>')
    return "".join(parts)


def _bar(bar: Bar, top: int, span: tuple[float, float], from_zero: bool, limit: float | None) -> str:
    name = bar.name if len(bar.name) <= 46 else f"{bar.name[:45]}…"
    value = _at(bar.value, span, 0, _WIDTH)
    parts = [
        f'<text class="value" x="0" y="{top + 12}">{escape(name)}</text>',
        f'<text class="value" x="{_WIDTH}" y="{top + 12}" text-anchor="end">{format_number(bar.value)}</text>',
        f'<rect class="ground" x="0" y="{top + 17}" width="{_WIDTH}" height="7" rx="2"/>',
    ]
    if limit is not None:
        at = _at(limit, span, 0, _WIDTH)
        parts.append(f'<line class="limit" x1="{at}" x2="{at}" y1="{top + 14}" y2="{top + 27}"/>')
    if from_zero:
        zero = _at(0.0, span, 0, _WIDTH)
        left, right = sorted((float(zero), float(value)))
        parts.append(f'<rect class="column" x="{left}" y="{top + 17}" width="{right - left:.1f}" height="7" rx="2"/>')
    if bar.low is not None and bar.high is not None:
        ends = (_at(bar.low, span, 0, _WIDTH), _at(bar.high, span, 0, _WIDTH))
        parts.append(f'<line class="spread" x1="{ends[0]}" x2="{ends[1]}" y1="{top + 20.5}" y2="{top + 20.5}"/>')
        parts += [f'<line class="spread" x1="{end}" x2="{end}" y1="{top + 16}" y2="{top + 25}"/>' for end in ends]
    if not from_zero:
        parts.append(f'<circle class="dot candidate" cx="{value}" cy="{top + 20.5}" r="4"/>')
    return "".join(parts)


def _key(series: Sequence[Series]) -> str:
    if not series:
        return ""
    marks = []
    for one in series:
        line = f'<line class="line {one.look}" x1="0" x2="36" y1="8" y2="8"/>' if one.line else ""
        dot = f'<circle class="dot {one.look}" cx="18" cy="8" r="4"/>' if one.dots else ""
        marks.append(f'<span><svg viewBox="0 0 36 16" aria-hidden="true">{line}{dot}</svg> {escape(one.name)}</span>')
    return f'<p class="key">{"".join(marks)}</p>'


def _span(values: Sequence[float], *, margin: float = 0.0) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    width = high - low or abs(high) or 1.0
    return (
        (low - width * margin, high + width * margin) if high > low or margin else (low - width / 2, high + width / 2)
    )


def _ticks(span: tuple[float, float]) -> list[float]:
    """Round numbers inside the span, at most six of them."""
    rough = (span[1] - span[0]) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 2.5, 5, 10) if power * one >= rough * 0.999)
    first = math.ceil(span[0] / step - 1e-9)
    last = math.floor(span[1] / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def _few(many: int) -> list[float]:
    return [float(place) for place in sorted({0, (many - 1) // 2, many - 1})]


def _at(value: float, span: tuple[float, float], begin: float, end: float) -> str:
    return f"{begin + (value - span[0]) / (span[1] - span[0]) * (end - begin):.1f}"


def _x(value: float, span: tuple[float, float]) -> str:
    return _at(value, span, _LEFT, _WIDTH - _RIGHT)


def _y(value: float, span: tuple[float, float]) -> str:
    return _at(value, span, _HEIGHT - _BOTTOM, _TOP)

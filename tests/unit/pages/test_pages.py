"""The look, the pictures and the words that all pages share."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from tradewind.pages import charts, formatting, layout
from tradewind.pages.charts import Axis, Bar, Series


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.1, of ``#rgb`` or ``#rrggbb``."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def schemes() -> list[dict[str, str]]:
    roots = re.findall(r":root\{(.*?)\}", layout.STYLE, flags=re.DOTALL)
    return [dict(re.findall(r"--(\w+):(#\w+)", root)) for root in roots]


def test_light_and_dark_have_the_same_colours_and_every_text_can_be_read() -> None:
    light, dark = schemes()
    assert light.keys() == dark.keys()
    for scheme in (light, dark):
        texts = {name: contrast(scheme[name], scheme["bg"]) for name in scheme.keys() - {"bg", "line", "track"}}
        assert min(texts.values()) >= 4.5, texts


def test_every_colour_that_the_pictures_name_is_there() -> None:
    named = set(re.findall(r"var\(--(\w+)\)", layout.STYLE + charts.STYLE)) - {"share"}
    assert named <= schemes()[0].keys()


def test_a_page_may_load_nothing_and_run_nothing() -> None:
    page = layout.page_document("<b>", "<p>fine</p>")
    assert "default-src 'none'" in page
    assert "<title>&lt;b&gt;</title>" in page
    assert "://" not in page


def test_a_draft_takes_the_place_of_the_file_at_once(tmp_path) -> None:
    layout.write_page(tmp_path / "deep" / "page.html", "one")
    layout.write_page(tmp_path / "deep" / "page.html", "two")
    assert [path.read_text() for path in (tmp_path / "deep").iterdir()] == ["two"]


def test_only_columns_of_numbers_are_set_like_numbers() -> None:
    text = layout.html_table(["day", "rows", "auc"], [["2013", "1,200", "–"], ["2014", "7", "<0.5"]])
    assert '<td>2013</td><td class="number">1,200</td><td>–</td>' in text
    assert "<td>&lt;0.5</td>" in text


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (float("nan"), "–"), (0.68123, "0.6812"), (12.345, "12.35"), (12345.6, "12,346"), (4e-5, "4e-05")],
)
def test_numbers_have_the_digits_that_mean_something(value: float | None, said: str) -> None:
    assert formatting.format_number(value) == said


def test_a_difference_has_its_sign() -> None:
    assert [formatting.format_number(value, sign=True) for value in (0.01, 0.0, -0.01)] == ["+0.0100", "0", "-0.0100"]


@pytest.mark.parametrize(
    "text",
    ["<img src=x onerror=alert(1)>", "[here](javascript:alert(1))", "a | b\n\n# c", "**bold** _it_ `code`", "{{ x }}"],
)
def test_somebodys_text_means_nothing_to_markdown(text: str) -> None:
    from markdown_it import MarkdownIt

    rendered = MarkdownIt("commonmark").enable("table").render(formatting.escape_markdown(text))
    inner = rendered.strip().removeprefix("<p>").removesuffix("</p>")
    assert "<" not in inner
    assert "\n" not in inner


@pytest.mark.parametrize("text", ["1. first", "- item", "# title", "+ more", "===", "> quote"])
def test_what_begins_a_block_in_markdown_begins_none(text: str) -> None:
    from markdown_it import MarkdownIt

    assert MarkdownIt().render(formatting.escape_markdown(text)).startswith("<p>")


def test_a_name_with_an_underscore_stays_readable() -> None:
    assert formatting.escape_markdown("roc_auc of 2013-01-28") == "roc_auc of 2013-01-28"


def test_a_picture_is_well_formed_says_what_it_is_and_escapes_names() -> None:
    series = [Series("<candidate>", [(0, 0), (1, 0.5)], "candidate", dots=True, spreads=[(0, 0.1), (0.4, 0.6)])]
    text = charts.line_chart("ROC <1>", series, x=Axis("x", (0, 1)), y=Axis("y & z"))
    picture = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    assert picture.get("aria-label") == "ROC <1>: y & z over x"
    assert "&lt;candidate&gt;" in text


@pytest.mark.parametrize("points", [[], [(0.0, 0.0)], [(0.0, 5.0), (0.0, 5.0)]], ids=["none", "one", "same"])
def test_a_picture_of_almost_nothing_has_finite_places(points: list[tuple[float, float]]) -> None:
    text = charts.line_chart("t", [Series("a", points, "candidate", dots=True)], x=Axis("x"), y=Axis("y"))
    assert "nan" not in text
    assert "inf" not in text


def test_an_interval_says_its_numbers_and_shades_where_it_passes() -> None:
    at_least = charts.interval_bar(0.7, 0.6, 0.8, bound=0.65, relation="at_least")
    assert 'aria-label="value 0.7000, interval 0.6000 to 0.8000, bound 0.65"' in at_least
    places = [float(place) for place in re.findall(r'class="good" x="([\d.]+)"', at_least)]
    at_most = charts.interval_bar(0.7, 0.6, 0.8, bound=0.65, relation="at_most")
    assert places[0] > 0
    assert 'class="good" x="0.0"' in at_most


def test_bars_have_their_numbers_as_a_table() -> None:
    text = charts.bar_chart("t", [Bar("wind & rain", 0.02, 0.01, 0.03)], unit="loss")
    assert "<td>wind &amp; rain</td>" in text
    assert '<td class="number">0.0200</td>' in text


class Balanced(HTMLParser):
    """Fails where a tag is closed that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_confusion_matrix_is_a_table_with_headers() -> None:
    text = charts.confusion_matrix("t", ["a", "<b>"], [[3, 1], [0, 0]])
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert text.count('scope="row"') == 2
    assert "--share:0.750" in text

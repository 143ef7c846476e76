"""The model card of a champion, as Markdown and as a page: made from recorded facts at every promotion."""

from __future__ import annotations

import logging
import tempfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.models import card_sections as parts
from tradewind.models.card_facts import CardFacts, gather
from tradewind.models.figures import figures
from tradewind.models.pictures import Pictures
from tradewind.models.registry import Registry, answering
from tradewind.pages import charts, look, text
from tradewind.pages.text import Section

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.ledger.champions import Champion
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)

FOLDER = "card"
_STYLE = ".card td:first-child{min-width:7rem}"


def write(spec: Pipeline, runtime: Runtime, champion: Champion) -> Path:
    """Write the card of a champion into the folder of reports and into the run that trained it.

    The same facts give the same card: writing it again changes nothing. What is not recorded is said to be so.

    :return: the page; the Markdown stands beside it
    :raises ModelError: the registry has no such version
    :raises Unavailable: the registry or the ledger does not answer
    """
    registry = Registry(runtime, spec.model_name)
    version = registry.get(champion.model_version)
    facts = gather(spec, runtime, champion, registry, version)
    made = {"html": html(facts), "md": markdown(facts)}
    found = {runtime.reports / place_of(champion, kind): content for kind, content in made.items()}
    for path, content in found.items():
        look.write(path, content)
    with tempfile.TemporaryDirectory() as scratch, answering(f"the card of {version} cannot be logged"):
        for path, content in found.items():
            Path(scratch, f"card{path.suffix}").write_text(content, encoding="utf-8")
        registry.client.log_artifacts(version.mlflow_run_id, scratch, FOLDER)
    page = runtime.reports / place_of(champion)
    log.info("%s: the card of version %s is %s", spec.pipeline, champion.model_version, page)
    return page


def place_of(champion: Champion, kind: str = "html") -> str:
    """The card of a champion, seen from the folder of reports.

    :param kind: ``html`` or ``md``
    """
    return f"{champion.pipeline}/card-version-{champion.model_version}.{kind}"


def markdown(facts: CardFacts) -> str:
    """The card as Markdown."""
    return text.markdown(_title(facts), sections(facts))


def html(facts: CardFacts) -> str:
    """The card as a self-contained page, with the pictures of its verdict."""
    body = (
        f'<p class="soft">Model card</p><h1>{escape(_title(facts))}</h1>'
        f'<div class="card">{text.html(sections(facts))}</div>{_pictures(facts)}'
    )
    return look.document(_title(facts), body, style=charts.STYLE + _STYLE)


def sections(facts: CardFacts) -> list[Section]:
    """The card; what is asked for first comes first."""
    return [
        parts.in_short(facts),
        parts.limits_of(facts),
        parts.metrics(facts),
        parts.why(facts),
        parts.gates(facts),
        parts.slices(facts),
        parts.fairness(facts),
        parts.calibration(facts),
        parts.relies_on(facts),
        parts.model(facts),
        parts.data(facts),
        parts.history(facts),
        parts.again(facts),
    ]


def _title(facts: CardFacts) -> str:
    return f"{facts.spec.pipeline}, version {facts.champion.model_version}"


def _pictures(facts: CardFacts) -> str:
    if not facts.drawn:
        return ""
    judged: list[Any] = list(facts.decided.evidence["gates"]) if facts.decided else []
    drawn = "".join(figures(Pictures.from_json(facts.drawn), judged))
    return f'<h2>Pictures of that verdict</h2><div class="figures">{drawn}</div>'

"""The model card of a champion, as Markdown and as a page: made from recorded facts at every promotion."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.champion import card_sections as parts
from tradewind.champion.card_facts import CardFacts, gather_card_facts
from tradewind.pages import charts, layout, sections
from tradewind.pages.sections import Section
from tradewind.registry.model_registry import open_registry, translate_mlflow_errors
from tradewind.training.picture_data import VerdictPictures
from tradewind.training.verdict_figures import render_verdict_figures

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.ledger.champions import ChampionChange

log = logging.getLogger(__name__)

FOLDER = "card"
_STYLE = ".card td:first-child{min-width:7rem}"


def write_model_card(deployment: Deployment, champion: ChampionChange) -> Path:
    """Write the card of a champion into the folder of reports and into the run that trained it.

    The same facts give the same card: writing it again changes nothing. What is not recorded is said to be so.

    :return: the page; the Markdown stands beside it
    :raises ModelError: the registry has no such version
    :raises Unavailable: the registry or the ledger does not answer
    """
    runtime = deployment.runtime
    registry = open_registry(deployment)
    version = registry.get(champion.model_version)
    facts = gather_card_facts(deployment, champion, registry, version)
    made = {"html": render_card_html(facts), "md": render_card_markdown(facts)}
    found = {runtime.reports / model_card_path(champion, kind): content for kind, content in made.items()}
    for path, content in found.items():
        layout.write_page(path, content)
    with tempfile.TemporaryDirectory() as scratch, translate_mlflow_errors(f"the card of {version} cannot be logged"):
        for path, content in found.items():
            Path(scratch, f"card{path.suffix}").write_text(content, encoding="utf-8")
        registry.client.log_artifacts(version.mlflow_run_id, scratch, FOLDER)
    page = runtime.reports / model_card_path(champion)
    log.info("%s: the card of version %s is %s", deployment.spec.pipeline, champion.model_version, page)
    return page


def model_card_path(champion: ChampionChange, kind: str = "html") -> str:
    """The card of a champion, seen from the folder of reports.

    :param kind: ``html`` or ``md``
    """
    return f"{champion.pipeline}/card-version-{champion.model_version}.{kind}"


def render_card_markdown(facts: CardFacts) -> str:
    """The card as Markdown."""
    return sections.render_markdown(_card_title(facts), build_card_sections(facts))


def render_card_html(facts: CardFacts) -> str:
    """The card as a self-contained page, with the pictures of its verdict."""
    body = (
        f'<p class="soft">Model card</p><h1>{escape(_card_title(facts))}</h1>'
        f'<div class="card">{sections.render_html(build_card_sections(facts))}</div>{_render_pictures(facts)}'
    )
    return layout.page_document(_card_title(facts), body, style=charts.STYLE + _STYLE)


CARD_SECTIONS: tuple[Callable[[CardFacts], Section], ...] = (
    parts.summary_section,
    parts.limits_section,
    parts.metrics_section,
    parts.training_reason_section,
    parts.gates_section,
    parts.slices_section,
    parts.fairness_section,
    parts.calibration_section,
    parts.importance_section,
    parts.model_section,
    parts.data_section,
    parts.history_section,
    parts.reproduction_section,
)
"""The sections of a card, in order: what is asked for first comes first."""


def build_card_sections(facts: CardFacts) -> list[Section]:
    """The sections of a card, filled."""
    return [section(facts) for section in CARD_SECTIONS]


def _card_title(facts: CardFacts) -> str:
    return f"{facts.spec.pipeline}, version {facts.champion.model_version}"


def _render_pictures(facts: CardFacts) -> str:
    if not facts.drawn:
        return ""
    judged: list[Any] = list(facts.decided.evidence["gates"]) if facts.decided else []
    drawn = "".join(render_verdict_figures(VerdictPictures.from_json(facts.drawn), judged))
    return f'<h2>Pictures of that verdict</h2><div class="figures">{drawn}</div>'

"""Links between the pages of the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_LINK = re.compile(r"\]\((?P<path>[^)#:\s]+)(?:#(?P<anchor>[^)\s]+))?\)")


def tracked_pages(project: Path) -> list[Path]:
    folders = (project, project / "docs", project / "astro", project / "docker")
    return sorted({page for folder in folders for page in (*folder.glob("*.md"), *folder.glob("adr/*.md"))})


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("folder", [".", "docs", "docs/adr"])
def test_every_link_of_a_page_leads_somewhere(project: Path, folder: str) -> None:
    broken = []
    for page in tracked_pages(project):
        if page.parent != (project / folder).resolve() and page.parent != project / folder:
            continue
        for link in _LINK.finditer(page.read_text(encoding="utf-8")):
            target = page.parent / link["path"]
            lost = not target.exists()
            if not lost and link["anchor"] and target.suffix == ".md":
                lost = link["anchor"] not in anchors(target)
            if lost:
                broken.append(f"{page.relative_to(project)}: {link[0]}")
    assert broken == []


def test_the_index_of_decisions_has_every_decision_with_its_title(project: Path) -> None:
    index = (project / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    for page in sorted((project / "docs" / "adr").glob("0*.md")):
        title = page.read_text(encoding="utf-8").splitlines()[0]
        title = re.sub(r"^# (\d+\. )?", "", title)
        assert f"| [{page.name[:4]}]({page.name}) | {title} |" in index, page.name

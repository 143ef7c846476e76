"""What ``tradewind new`` writes: a pipeline with all its files, and the project around it if there is none yet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import available_timezones

from tradewind.errors import UsageError
from tradewind.scaffold import own_files, sample
from tradewind.spec.check import RESERVED
from tradewind.spec.problems import nearest
from tradewind.spec.schema import json_schema
from tradewind.spec.values import NAME

_TEMPLATES = Path(__file__).with_name("templates")
_NAME = "my_pipeline"


@dataclass(frozen=True, slots=True)
class Created:
    """A new pipeline.

    :param files: what was written, from the project root
    :param start: first partition
    :param last: last partition for which there is data; None if that is not known
    :param sampled: folder with made-up data; None for a person's own
    """

    files: tuple[str, ...]
    start: str
    last: str | None
    sampled: Path | None


def create(
    root: Path, name: str, *, landing: Path, own: Sequence[Path] = (), timezone: str = "UTC", today: date | None = None
) -> Created:
    """Write a pipeline into the project in ``root``; nothing that is there is written over.

    :param name: of the pipeline
    :param landing: the landing zone, which gets made-up data if there are no ``own`` files
    :param own: CSV files of a person; each becomes a dataset
    :param timezone: IANA zone of the pipeline, and of times in ``own`` that say none
    :param today: for ``own`` files that tell no day: the pipeline starts the day before
    :raises UsageError: the name or zone is none, an own file cannot be read, or a file is there already
    """
    _check_name(name)
    _check_zone(timezone, sampled=not own)
    if own:
        files, start, last = _from_own(name, own, timezone, today or date.today())
        sampled = None
    else:
        files, start = dict(_tree(_TEMPLATES / "sample", name)), sample.FIRST.isoformat()
        last, sampled = (sample.LAST - timedelta(days=1)).isoformat(), landing / name
    files[f"dags/{name}.py"] = (_TEMPLATES / "project" / "dags" / "pipeline_stub.py").read_text(encoding="utf-8")
    if there := [path for path in files if (root / path).exists()]:
        raise UsageError(f"nothing is written: {', '.join(there)} is there already; choose another name or move it")
    files |= {path: text for path, text in _project().items() if not (root / path).exists()}
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    if sampled:
        sample.deliver(sampled)
    return Created(tuple(sorted(files)), start, last, sampled)


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME, name) or len(name) > 64:
        raise UsageError(
            f"{name!r} is no name of a pipeline: lower case letters, digits and single underscores between them"
        )
    if name in ("tradewind", "tests", "airflow"):
        raise UsageError(f"a pipeline called {name} would hide the package of that name; choose another")


def _check_zone(timezone: str, *, sampled: bool) -> None:
    if timezone not in available_timezones():
        near = nearest(timezone, available_timezones())
        raise UsageError(f"there is no time zone {timezone!r}" + (f"; did you mean `{near}`?" if near else ""))
    if sampled and timezone != "UTC":
        raise UsageError("the sample is made for UTC; --timezone goes with --from FILE.csv")


def _project() -> dict[str, str]:
    upkeep = (_TEMPLATES / "project" / "dags" / "tradewind_upkeep.py").read_text(encoding="utf-8")
    return {
        ".gitignore": (_TEMPLATES / "project" / "gitignore").read_text(encoding="utf-8"),
        "dags/tradewind_upkeep.py": upkeep,
        "docs/pipeline.schema.json": json.dumps(json_schema(), indent=2) + "\n",
    }


def _tree(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    """The files of a template, with the pipeline's name in place of the template's."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".yaml", ".py", ".sql", ".json"):
            text = path.read_text(encoding="utf-8")
            yield path.relative_to(folder).as_posix().replace(_NAME, name), text.replace(_NAME, name)


def _from_own(name: str, paths: Sequence[Path], timezone: str, today: date) -> tuple[dict[str, str], str, str | None]:
    found = [own_files.look_at(path, timezone) for path in paths]
    names = [own.name for own in found]
    if twice := {each for each in names if names.count(each) > 1 or each in RESERVED}:
        raise UsageError(f"the files would become datasets called {', '.join(sorted(twice))}; rename one of them")
    days = own_files.days_of(found)
    start = (days[0] if days else today - timedelta(days=1)).isoformat()
    end = f"end: {days[1]} # the first day without data; leave it out when data goes on" if days else "# no end"
    filled = {
        "my_timezone": timezone,
        "my_start": start,
        "my_end": end,
        "my_datasets": "\n".join(own_files.as_yaml(own, name) for own in found),
        "my_dataset": names[0],
    }
    files = {}
    for path, text in _tree(_TEMPLATES / "own", name):
        if path != "expectations.json":
            files[path] = re.sub("|".join(sorted(filled, key=len, reverse=True)), lambda m: filled[m[0]], text)
    suite = (_TEMPLATES / "own" / "expectations.json").read_text(encoding="utf-8")
    for own in found:
        files[f"include/{name}/sql/{own.name}.sql"] = own_files.as_sql(own, timezone)
        files[f"include/{name}/expectations/{own.name}.json"] = suite.replace("my_dataset", own.name)
    last = (days[1] - timedelta(days=1)).isoformat() if days else None
    return files, start, last

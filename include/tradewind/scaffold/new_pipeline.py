"""What ``tradewind new`` writes: a pipeline with all its files, and the project around it if there is none yet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from tradewind.errors import UsageError
from tradewind.scaffold import column_facts, own_files, own_model, sample
from tradewind.scaffold.file_periods import KINDS
from tradewind.scaffold.own_files import OwnFile
from tradewind.scaffold.sample_periods import adapt_sample_file
from tradewind.spec.check import RESERVED
from tradewind.spec.partitions import Kind, Partitioning
from tradewind.spec.problems import nearest_word
from tradewind.spec.scalars import NAME
from tradewind.spec.schedule import EVERY
from tradewind.spec.schema import json_schema

_TEMPLATES = Path(__file__).with_name("templates")
_NAME = "my_pipeline"


@dataclass(frozen=True, slots=True)
class CreatedPipeline:
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


def create_pipeline(
    root: Path, name: str, *, landing: Path, own: Sequence[Path] = (), timezone: str = "UTC", kind: Kind | None = None,
    label: str | None = None, today: date | None = None,
) -> CreatedPipeline:  # fmt: skip
    """Write a pipeline into the project in ``root``; nothing that is there is written over.

    :param name: of the pipeline
    :param landing: the landing zone, which gets made-up data if there are no ``own`` files
    :param own: CSV files of a person; each becomes a dataset
    :param timezone: IANA zone of the pipeline, and of times in ``own`` that say none
    :param kind: length of a partition; None: as the names of ``own`` files say, else a day
    :param label: column of ``own`` files that a model predicts
    :param today: for ``own`` files that tell no day: the pipeline starts the day before
    :raises UsageError: the name or zone is none, an own file cannot be read, or a file is there already
    """
    _check_name(name)
    _check_zone(timezone, sampled=not own)
    if label is not None and not own:
        raise UsageError("the sample has a label; --label goes with --from FILE.csv")
    if own:
        files, start, last = _own_pipeline_files(
            name, own, timezone, kind=kind, label=label, today=today or date.today(), landing=landing
        )
        sampled = None
    else:
        kind = kind or "day"
        files = dict(adapt_sample_file(path, text, kind) for path, text in _template_files(_TEMPLATES / "sample", name))
        start, planned = sample.PARTITIONS[kind]
        last, sampled = Partitioning(kind, "UTC", start).shift(planned, -1), landing / name
    files[f"dags/{name}.py"] = (_TEMPLATES / "project" / "dags" / "pipeline_stub.py").read_text(encoding="utf-8")
    if there := [path for path in files if (root / path).exists()]:
        raise UsageError(f"nothing is written: {', '.join(there)} is there already; choose another name or move it")
    files |= {path: text for path, text in _project_files().items() if not (root / path).exists()}
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    if sampled:
        sample.deliver_sample(sampled, kind or "day")
    return CreatedPipeline(tuple(sorted(files)), start, last, sampled)


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME, name) or len(name) > 64:
        raise UsageError(
            f"{name!r} is not a valid pipeline name: lower case letters, digits and single underscores between them"
        )
    if name in ("tradewind", "tests", "airflow"):
        raise UsageError(f"a pipeline called {name} would hide the package of that name; choose another")


def _check_zone(timezone: str, *, sampled: bool) -> None:
    if timezone not in available_timezones():
        near = nearest_word(timezone, available_timezones())
        raise UsageError(f"there is no time zone {timezone!r}" + (f"; did you mean `{near}`?" if near else ""))
    if sampled and timezone != "UTC":
        raise UsageError("the sample is made for UTC; --timezone goes with --from FILE.csv")


def _project_files() -> dict[str, str]:
    upkeep = (_TEMPLATES / "project" / "dags" / "tradewind_upkeep.py").read_text(encoding="utf-8")
    return {
        ".gitignore": (_TEMPLATES / "project" / "gitignore").read_text(encoding="utf-8"),
        "dags/tradewind_upkeep.py": upkeep,
        "docs/pipeline.schema.json": json.dumps(json_schema(), indent=2) + "\n",
    }


def _template_files(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    """The files of a template, with the pipeline's name in place of the template's."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".yaml", ".py", ".sql", ".json"):
            text = path.read_text(encoding="utf-8")
            yield path.relative_to(folder).as_posix().replace(_NAME, name), text.replace(_NAME, name)


def _own_pipeline_files(
    name: str, paths: Sequence[Path], timezone: str, *, kind: Kind | None, label: str | None, today: date,
    landing: Path,
) -> tuple[dict[str, str], str, str | None]:  # fmt: skip
    found = [own_files.inspect_csv(path, timezone) for path in paths]
    names = [own.name for own in found]
    if twice := {each for each in names if names.count(each) > 1 or each in RESERVED}:
        raise UsageError(f"the files would become datasets called {', '.join(sorted(twice))}; rename one of them")
    kind = kind or _partition_kind(found)
    for own in found:
        if own.periods:
            own.periods.pattern_for(kind)  # files that cannot be named are told before partitions that are not whole
    span = _span(found, Partitioning(kind, timezone, start="1900-01-01"), today)
    labelled = _find_labelled_file(found, label)
    model = own_model.propose_model(
        labelled, kind=kind, timezone=timezone, label=label, partitions=span.count if span.end else None
    )
    # Files that lie in the landing zone are found there on every machine.
    datasets = "\n".join(own_files.render_dataset_yaml(own, name, kind) for own in found)
    generic = (_TEMPLATES / "own" / "stages.yaml.txt").read_text(encoding="utf-8").replace("my_dataset", names[0])
    stages = own_model.render_stages_yaml(model, name) if model else f"\n{generic}"
    end = f"end: {span.end} # the first {kind} without data; leave it out when data goes on"
    filled = {
        "my_timezone": timezone,
        "my_kind": kind,
        "my_schedule": EVERY[kind],
        "my_start": span.start,
        "my_end": end if span.end else "# no end",
        "my_datasets": datasets.replace(f'"{landing}/', '"{landing}/'),
        "my_stages": stages.replace(f'"{landing}/', '"{landing}/').rstrip("\n"),
        **(own_model.template_words(model) if model else {}),
    }
    files = dict(_fill_template(name, filled, model=model is not None))
    for own in found:
        files[f"include/{name}/sql/{own.name}.sql"] = own_files.render_dataset_sql(own, timezone)
        files[f"include/{name}/expectations/{own.name}.json"] = _render_suite(own)
    files |= own_model.render_model_files(model, name) if model else {}
    return files, span.start, span.last


def _fill_template(name: str, words: Mapping[str, str], *, model: bool) -> Iterator[tuple[str, str]]:
    """The files of the template for own data, with words in place of its own."""
    words = {**words, "my_stages": words["my_stages"].replace(_NAME, name), _NAME: name}
    any_word = re.compile("|".join(sorted(words, key=len, reverse=True)))
    folder = _TEMPLATES / "own"
    paths = [folder / "dags" / f"{_NAME}.yaml", folder / "tests" / f"test_{_NAME}.py"]
    for path in [*paths, *((folder / "include" / _NAME).iterdir() if model else ())]:
        text = any_word.sub(lambda found: words[found[0]], path.read_text(encoding="utf-8"))
        yield path.relative_to(folder).as_posix().replace(_NAME, name).removesuffix(".txt"), text


def _render_suite(own: OwnFile) -> str:
    """Expectations as JSON, one a line."""
    lines = ",\n".join(
        f"    {json.dumps(one, ensure_ascii=False)}" for one in column_facts.propose_expectations([*own.facts.values()])
    )
    return f'{{\n  "name": {json.dumps(own.name)},\n  "expectations": [\n{lines}\n  ]\n}}\n'


def _partition_kind(found: Sequence[OwnFile]) -> Kind:
    """The length of a partition: the longest period of a file; a day if no name has one."""
    kinds = [own.periods.kind for own in found if own.periods]
    return max(kinds, key=KINDS.index) if kinds else "day"


def _find_labelled_file(found: Sequence[OwnFile], label: str | None) -> OwnFile:
    if label is None:
        return found[0]
    for own in found:
        if label in own.columns:
            return own
    raise UsageError(f"no file has a column `{label}`; they have {', '.join(c for own in found for c in own.columns)}")


@dataclass(frozen=True, slots=True)
class _Span:
    """The partitions that there is data for; ``end`` is the first without any, None if nothing tells."""

    start: str
    end: str | None
    last: str | None
    count: int


def _span(found: Sequence[OwnFile], cut: Partitioning, today: date) -> _Span:
    """From the first partition that begins with data to the last that ends with it.

    :raises UsageError: no partition is covered whole
    """
    zone = ZoneInfo(cut.timezone)
    spans = [own.span for own in found if own.span]
    if not spans:
        yesterday = datetime.combine(today - timedelta(days=1), time(12), zone)
        return _Span(cut.key_at(yesterday), None, None, 0)
    begin = min(begin for begin, _ in spans).replace(tzinfo=zone)
    end = max(end for _, end in spans).replace(tzinfo=zone)
    start, stop = cut.key_at(begin), cut.key_at(end)
    if any(own.periods for own in found):  # a partition without all of its files would fail
        if cut.bounds(start).start < begin:
            start = cut.shift(start, 1)
    elif cut.bounds(stop).start < end:
        stop = cut.shift(stop, 1)
    if start >= stop:
        raise UsageError(
            f"the files hold no whole {cut.kind}: they are about {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
        )
    return _Span(start, stop, cut.shift(stop, -1), len(cut.between(start, stop)) - 1)

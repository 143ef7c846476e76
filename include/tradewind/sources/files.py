"""Delivered files: which ones a partition needs, and where they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from tradewind.errors import MalformedInput, MissingInput, SpecError, Unavailable
from tradewind.sources import file_headers
from tradewind.sources.decompression import explain_file_errors
from tradewind.sources.fetched import Fetched
from tradewind.spec.partitions import Partitioning
from tradewind.spec.problems import nearest_word
from tradewind.spec.source_files import FILE_PLACEHOLDERS, Files

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.deployment import Deployment
    from tradewind.sources.s3 import ObjectStore

_S3 = "s3://"
_DEFAULT_CONNECTION = "aws_default"
_PLACEHOLDER = re.compile(r"{(\w*)(?::[^{}]*)?}")
_DIGIT = re.compile(r"\d")
# DuckDB would take these in a name for a pattern.
_PATTERN = re.compile(r"[*?\[\]]")


def fetch_files(source: Files, partition: str, *, deployment: Deployment, scratch: Path) -> Fetched:
    """Find the files that ``partition`` needs, in order of time and then of their names; copy those in an object store.

    :param scratch: folder for the copies
    :raises SpecError: the path has a placeholder that there is none of
    :raises MissingInput: files are not there; every one is named
    :raises EmptyInput: files have no row; every one is named
    :raises MalformedInput: a file cannot be read
    :raises Unavailable: the object store, or the landing zone, is away
    """
    runtime = deployment.runtime
    wanted = file_patterns(source, partition, partitioning=deployment.spec.partitioning, landing=runtime.landing)
    if wanted[0].startswith(_S3):
        fetched = _fetch_from_store(source, partition, wanted, runtime, scratch)
    else:
        found = [_find_local_files(pattern, runtime.landing) for pattern in wanted]
        paths = [Path(name) for name in _require_all_files(wanted, found, partition, landing=runtime.landing)]
        for path in paths:
            _refuse_way_out(path, runtime.landing)
        fetched = _fetched(source, [_path_without_wildcards(path, scratch) for path in paths], map(str, paths))
    file_headers.refuse_empty_files(source, fetched)
    return fetched


def file_patterns(source: Files, partition: str, *, partitioning: Partitioning, landing: str) -> list[str]:
    """Paths or URIs of the files, one for each that must be there; `*` and `?` in them stand for any characters.

    :param landing: what ``{landing}`` stands for; `*` and `?` in it stand for themselves
    :raises SpecError: there is no such placeholder
    """
    unknown = set(_PLACEHOLDER.findall(source.files)) - set(FILE_PLACEHOLDERS)
    if unknown:
        raise SpecError(
            f"{source.files}: no placeholder {{{unknown.pop()}}}; there are {{landing}}, {{partition}} and {{day}}"
        )
    days = partitioning.days(partition) if "day" in _PLACEHOLDER.findall(source.files) else ["2000-01-01"]
    named = [source.files.format(landing=landing, partition=partition, day=date.fromisoformat(day)) for day in days]
    return list(dict.fromkeys(named))  # several days may be in one file


def _fetched(source: Files, paths: Iterable[Path], names: Iterable[str]) -> Fetched:
    return Fetched(tuple(paths), tuple(names), source.format, source.delimiter, source.nulls, source.limits)


def _find_local_files(pattern: str, landing: str) -> list[str]:
    """Files that the pattern names, sorted; a folder is an error where a pattern names nothing else.

    :raises Unavailable: there is no landing zone: what `missing` says of a file does not hold for all of them at once
    """
    if pattern.startswith(landing) and not Path(landing).is_dir():
        raise Unavailable(f"{pattern}: the landing zone {landing} is not there; mount it, or make the folder")
    with explain_file_errors(pattern):
        fixed, parts = _split_pattern(pattern, landing)
        if not parts:
            return [pattern] if Path(pattern).exists() else []
        places = [Path(fixed)]
        for part in parts:
            matches = _matcher(part).fullmatch
            below = [place for place in places if place.is_dir()]
            places = [entry for place in below for entry in place.iterdir() if matches(entry.name)]
        return sorted(str(place) for place in places if not place.is_dir())


def _refuse_way_out(path: Path, landing: str) -> None:
    """See that a link leads to no file outside the landing zone: who may deliver there may not read everything.

    The landing zone itself may be a link, and links inside it may lead to each other. Outside of a landing zone a link
    may lead to its own folder.

    :raises MalformedInput: it leads out
    """
    root = Path(landing) if landing and path.is_relative_to(landing) else path.parent
    if not path.resolve().is_relative_to(root.resolve()):
        raise MalformedInput(
            f"{path} is a link that leads out of {root}, to {path.resolve()}; deliver the file itself there"
        )


def _split_pattern(pattern: str, landing: str) -> tuple[str, list[str]]:
    """The folder that a pattern begins with, and its parts from the first one with `*` or `?` on."""
    start = len(landing) if pattern.startswith(landing) else 0
    wild = re.search(r"[*?]", pattern[start:])
    if wild is None:
        return pattern, []
    cut = pattern.rfind("/", 0, start + wild.start()) + 1
    return pattern[:cut] or ".", pattern[cut:].split("/")


def _matcher(pattern: str) -> re.Pattern[str]:
    """`*` and `?` stay within a name, and leave out names with a dot in front: most programs write to such first."""
    parts = {"*": "[^/]*", "?": "[^/]"}
    words = "".join(parts.get(letter, re.escape(letter)) for letter in pattern)
    hidden = r"(?!\.)" if pattern[:1] in parts else ""
    return re.compile(hidden + words, re.DOTALL)


def _require_all_files(
    wanted: Sequence[str], found: Sequence[Sequence[str]], partition: str, *, landing: str
) -> list[str]:
    missing = [name for name, names in zip(wanted, found, strict=True) if not names]
    if missing:
        if len(missing) == len(wanted) and (folder := _missing_folder(missing, landing)) is not None:
            raise MissingInput(f"partition {partition}: {folder}")
        count = f"{len(missing)} of {len(wanted)} files are missing" if len(wanted) > 1 else "the file is missing"
        raise MissingInput(
            f"partition {partition}: {count}: {', '.join(missing)}. Deliver them, then run the partition again"
        )
    # A file that two patterns match is one file.
    return list(dict.fromkeys(name for names in found for name in names))


def _missing_folder(missing: Sequence[str], landing: str) -> str | None:
    """What to say where all that is missing would lie in one folder that does not exist; None otherwise."""
    if missing[0].startswith(_S3):
        return None
    folders = {_highest_missing(*_split_pattern(name, landing)) for name in missing}
    folder = folders.pop()
    if folders or folder is None:
        return None
    # The folder of another day is no misspelt one.
    beside = (entry.name for entry in folder.parent.iterdir() if entry.is_dir())
    near = nearest_word(folder.name, (name for name in beside if _DIGIT.sub("", name) != _DIGIT.sub("", folder.name)))
    meant = f"; did you mean `{folder.with_name(near)}`?" if near else "."
    return (
        f"the folder {folder} does not exist{meant} Correct `files`, or deliver into it, then run the partition again"
    )


def _highest_missing(fixed: str, parts: Sequence[str]) -> Path | None:
    """The highest folder that a pattern names and that does not exist; None if there is none."""
    folders = [Path(fixed)] if parts else []
    absent = [folder for folder in (*folders, *Path(fixed).parents) if not folder.exists()]
    return absent[-1] if absent else None


def _path_without_wildcards(path: Path, scratch: Path) -> Path:
    """The file itself, or a link to it if DuckDB would take its name for a pattern."""
    if not _PATTERN.search(str(path.absolute())):
        return path
    link = Path(mkdtemp(dir=scratch)) / f"delivered{path.suffix}"
    link.symlink_to(path.absolute())
    return link


def _fetch_from_store(source: Files, partition: str, wanted: Sequence[str], runtime: Runtime, scratch: Path) -> Fetched:
    from tradewind.sources.s3 import ObjectStore

    connection = source.connection or _DEFAULT_CONNECTION
    store = ObjectStore(runtime.connections.s3(connection), called=connection, longest=source.limits.time)
    uris = _require_all_files(
        wanted, [_find_stored_files(store, uri, runtime.landing) for uri in wanted], partition, landing=runtime.landing
    )
    folder = Path(mkdtemp(dir=scratch))
    paths = [folder / f"{number}{Path(uri).suffix}" for number, uri in enumerate(uris)]
    for uri, path in zip(uris, paths, strict=True):
        store.copy(uri, path)
    return _fetched(source, paths, uris)


def _find_stored_files(store: ObjectStore, uri: str, landing: str) -> list[str]:
    fixed, parts = _split_pattern(uri, landing)
    bucket, _, prefix = fixed.removeprefix(_S3).partition("/")
    return store.find(_matcher_below(prefix, parts), bucket=bucket, prefix=prefix)


def _matcher_below(prefix: str, parts: Sequence[str]) -> re.Pattern[str]:
    return re.compile(re.escape(prefix) + "/".join(_matcher(part).pattern for part in parts), re.DOTALL)

"""A web service that answers with JSON, JSON lines or CSV: page after page into files, in bounded memory."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core.disk import translate_disk_errors
from tradewind.errors import EmptyInput, MalformedInput, MissingInput, SpecError
from tradewind.sources import file_headers
from tradewind.sources.deadlines import Clock
from tradewind.sources.decompression import refuse_other_encoding
from tradewind.sources.delivered_columns import agree_columns
from tradewind.sources.fetched import Fetched
from tradewind.sources.http_client import HttpClient
from tradewind.sources.paging import Page, PageSequence, Request, answer_rows
from tradewind.sources.text_records import CsvRecords, json_records
from tradewind.spec.sources import Limits

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline
    from tradewind.spec.source_http import Http

log = logging.getLogger(__name__)

_NO_CONTENT = 204
LARGEST = 64 * 2**20
"""Bytes of one JSON answer, which is read as a whole; JSON lines and CSV may have any size."""


def fetch_http(
    source: Http,
    partition: str,
    *,
    deployment: Deployment,
    scratch: Path,
    wait: Callable[[float], None] = time.sleep,
    clock: Clock = time.monotonic,
) -> Fetched:
    """Ask for all pages of one partition and write them into ``scratch``: JSON as JSON lines, all else as it comes.

    :param wait: waits so many seconds before a request is repeated
    :param clock: what the limits of time are measured by
    :raises SpecError: a placeholder that there is none of
    :raises MissingInput: the service says that there is nothing at this address (404, 410)
    :raises EmptyInput: there is no row
    :raises MalformedInput: an answer is not what the YAML says, or paging has no end
    :raises InputError: the service refuses the request
    :raises Unavailable: the service is away, or busy for too long
    """
    endpoint = deployment.runtime.connections.http(source.connection)
    path = _fill_placeholders(source.http, partition, deployment.spec)
    parameters = {
        name: _fill_placeholders(value, partition, deployment.spec) for name, value in source.parameters.items()
    }
    with (
        HttpClient(endpoint, path, parameters, limits=source.limits, wait=wait, clock=clock) as service,
        translate_disk_errors(f"{service.name}: its answers cannot be kept", scratch),
    ):
        pages = PageSequence(source.paging, what=service.name)
        request: Request | None = pages.first()
        page: Page | None = None
        files, bare, rows, number = list[Path](), list[Path](), 0, 0
        while request is not None:
            number += 1
            try:
                page, file = _fetch_page(service, request, source, scratch, number)
            except MissingInput as exc:
                if page is None:
                    raise
                if pages.none_after(page):
                    break
                raise MalformedInput(f"page {number} is not there, and the one before does not end it: {exc}") from exc
            rows += page.rows
            (files if page.rows else bare).append(file)
            request = pages.after(page)
    if source.format == "csv":
        _compare_columns(source, files, bare, what=service.name)
    if not rows:
        raise EmptyInput(f"{service.name}: the service gives no row for partition {partition}")
    log.info("%s %s: %s rows on %s pages", service.name, partition, rows, number)
    return _fetched(source, list(dict.fromkeys(files)), what=service.name)


def _fetched(source: Http, files: Sequence[Path], *, what: str) -> Fetched:
    names = tuple(f"{what} ({file.stem})" if len(files) > 1 else what for file in files)
    return Fetched(tuple(files), names, "csv" if source.format == "csv" else "jsonl", limits=source.limits)


def _compare_columns(source: Http, files: Sequence[Path], bare: Sequence[Path], *, what: str) -> None:
    """See that CSV pages without rows have the columns of the others: a page that tells of an error has no row either.

    After others, and where the service says that there is no content (204), a page may have no byte.

    :raises MalformedInput: their columns are others
    """
    headed = [file for file in bare if file.stat().st_size]
    if headed:
        fetched = _fetched(source, [*files[:1], *headed], what=what)
        agree_columns(source, file_headers.read_file_columns(source, fetched))


def _fill_placeholders(text: str, partition: str, spec: Pipeline) -> str:
    bounds = spec.partitioning.bounds(partition)
    values = {
        "partition": partition,
        "partition_start": _iso(bounds.start),
        "partition_end": _iso(bounds.end),
    }
    if unknown := set(re.findall(r"{(.*?)}", text)) - set(values):
        known = ", ".join(f"{{{name}}}" for name in values)
        raise SpecError(f"{text}: no placeholder {{{unknown.pop()}}}; there are {known}")
    return text.format(**values)


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _fetch_page(service: HttpClient, request: Request, source: Http, scratch: Path, number: int) -> tuple[Page, Path]:
    body = scratch / f"page-{number}.{source.format}"
    response = service.ask(request, body, most=LARGEST if source.format == "json" else None)
    with body.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    link = service.follow(response.links.get("next", {}).get("url"))
    if source.format == "json":
        there = body.stat().st_size > 0  # 204 has no body
        answer = _read_json(body, service.name) if there else None
        target = scratch / "rows.jsonl"
        rows = _append_rows(answer_rows(answer, source.records, what=service.name) if there else iter(()), target)
        body.unlink()
        return Page(rows, digest, answer, link), target
    if source.format == "csv" and number == 1 and response.status_code != _NO_CONTENT and not body.stat().st_size:
        raise MalformedInput(f"{service.name}: the answer has no byte; not even a header is there")
    return Page(_count_rows(body, csv_=source.format == "csv", what=service.name), digest, None, link), body


def _read_json(path: Path, what: str) -> Any:
    try:
        return json.loads(path.read_bytes(), parse_float=_exact_number, parse_constant=_refuse_constant)
    except RecursionError as exc:
        raise MalformedInput(f"{what}: the answer is JSON with too many lists or objects inside each other") from exc
    except ValueError as exc:
        raise MalformedInput(f"{what}: this is not JSON: {exc}") from exc


def _exact_number(text: str) -> float | str:
    """A number; as text where the nearest float is another one."""
    number = float(text)
    return number if Decimal(repr(number)) == Decimal(text) else text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _append_rows(rows: Any, path: Path) -> int:
    count = 0
    with path.open("a", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def _count_rows(path: Path, *, csv_: bool, what: str) -> int:
    refuse_other_encoding(path, called=what, limits=Limits())
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return CsvRecords(file, delimiter=",").count() if csv_ else sum(1 for _ in json_records(file))
    except UnicodeDecodeError as exc:
        raise MalformedInput(f"{what}: the answer is not text in UTF-8: {exc}") from exc

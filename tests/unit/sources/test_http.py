"""Rows from a web service, a real one on this machine."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.local_runtime import local_runtime

from tradewind.core.connections import GivenConnections, WebServiceConnection
from tradewind.deployment import Deployment
from tradewind.errors import EmptyInput, InputError, MalformedInput, MissingInput, SpecError, Unavailable
from tradewind.sources import http
from tradewind.sources.fetched import Fetched
from tradewind.spec.pipeline import Pipeline
from tradewind.spec.source_http import Http

DAY = "2013-11-03"
SPEC = Pipeline.model_validate(
    {
        "pipeline": "shop", "owner": "x", "description": "x", "partition": "day", "timezone": "America/New_York",
        "start": "2013-11-01", "schedule": "@daily",
        "datasets": {"orders": {"source": {"http": "/orders", "connection": "web"}, "sql": "o.sql"}},
    }
)  # fmt: skip

Answer = tuple[int, dict[str, str], bytes]


def answer(body: Any = b"", code: int = 200, **headers: str) -> Answer:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return code, {name.replace("_", "-"): value for name, value in headers.items()}, text


class Web:
    """A service: what it answers, what it was asked, and how long its client waited."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: Callable[[str, dict[str, str]], Answer] = lambda path, query: answer([{"id": 1}])
        self.asked = list[tuple[str, dict[str, str]]]()
        self.headers = list[dict[str, str]]()
        self.waited = list[float]()
        self.clock: Callable[[], float] = time.monotonic
        self.raw: Callable[[Any], None] | None = None
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = dict(parse_qsl(url.query))
                web.asked.append((url.path, query))
                web.headers.append(dict(self.headers))
                if web.raw is not None:
                    with contextlib.suppress(OSError):
                        web.raw(self.wfile)
                    return
                code, headers, body = web.answers(url.path, query)
                self.send_response(code)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def one_after_another(self, *answers: Answer) -> None:
        given = iter(answers)
        self.answers = lambda path, query: next(given)

    def fetch(self, path: str = "/orders", *, endpoint: WebServiceConnection | None = None, **fields: Any) -> Fetched:
        source = Http.model_validate({"http": path, "connection": "web", **fields})
        endpoint = endpoint or WebServiceConnection(self.url, headers={"X-Key": "t0ken"}, auth=("ann", "s3cret"))
        runtime = local_runtime(self.folder, connections=GivenConnections(services={"web": endpoint}))
        scratch = self.folder / f"scratch-{len(self.asked)}"
        scratch.mkdir()
        return http.fetch_http(
            source,
            DAY,
            deployment=Deployment(SPEC, runtime),
            scratch=scratch,
            wait=self.waited.append,
            clock=self.clock,
        )

    def rows(self, path: str = "/orders", **fields: Any) -> list[Any]:
        [file] = self.fetch(path, **fields).paths
        return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    found = Web(tmp_path)
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def page(*ids: int) -> Answer:
    return answer([{"id": number} for number in ids])


def test_placeholders_parameters_and_the_connection_reach_the_service(web: Web) -> None:
    web.fetch("/orders/{partition}", parameters={"from": "{partition_start}", "to": "{partition_end}"})
    assert web.asked == [(f"/orders/{DAY}", {"from": "2013-11-03T04:00:00Z", "to": "2013-11-04T05:00:00Z"})]
    assert web.headers[0]["X-Key"] == "t0ken"
    assert web.headers[0]["Authorization"].startswith("Basic ")


def test_json_becomes_lines(web: Web) -> None:
    web.answers = lambda *_: answer({"data": {"items": [{"id": 1, "name": "é"}, {"id": 2}]}})
    fetched = web.fetch(records="data.items")
    assert (fetched.format, fetched.names) == ("jsonl", (f"{web.url}/orders",))
    assert fetched.paths[0].read_text() == '{"id": 1, "name": "é"}\n{"id": 2}\n'


def test_numbers_are_what_the_service_wrote(web: Web) -> None:
    web.answers = lambda *_: answer(b'[{"a": 0.1, "b": 12345678901234567890, "c": 1.0000000000000000001}]')
    assert web.rows() == [{"a": 0.1, "b": 12345678901234567890, "c": "1.0000000000000000001"}]


def test_json_lines_and_csv_come_as_they_are(web: Web) -> None:
    web.answers = lambda *_: answer(b'{"id": 1}\n{"id": 2}\n')
    assert web.fetch(format="jsonl").paths[0].read_bytes() == b'{"id": 1}\n{"id": 2}\n'
    web.answers = lambda *_: answer(b"id\n1\n")
    fetched = web.fetch(format="csv")
    assert (fetched.format, fetched.paths[0].read_bytes()) == ("csv", b"id\n1\n")


def test_compressed_answers_are_unpacked(web: Web) -> None:
    web.answers = lambda *_: answer(gzip.compress(b'[{"id": 1}]'), Content_Encoding="gzip")
    assert web.rows() == [{"id": 1}]


def test_pages_end_with_an_empty_one(web: Web) -> None:
    web.one_after_another(page(1, 2), page(3), page())
    assert [row["id"] for row in web.rows(paging={"by": "page", "first": 0})] == [1, 2, 3]
    assert [query for _, query in web.asked] == [{"page": "0"}, {"page": "1"}, {"page": "2"}]


def test_pages_end_with_a_short_one_after_a_full_one(web: Web) -> None:
    web.one_after_another(page(1, 2), page(3))
    web.rows(paging={"by": "page", "parameter": "p", "size": 2, "size_parameter": "limit"})
    assert [query for _, query in web.asked] == [{"p": "1", "limit": "2"}, {"p": "2", "limit": "2"}]


@pytest.mark.parametrize("last", [page(), answer(b"no such page", 404)])
def test_a_service_that_gives_fewer_rows_than_asked_for_is_read_to_its_end(web: Web, last: Answer) -> None:
    web.one_after_another(page(1, 2), page(3, 4), page(5), last)
    assert [row["id"] for row in web.rows(paging={"by": "page", "size": 1000})] == [1, 2, 3, 4, 5]


def test_a_page_that_is_not_there_in_the_middle_is_neither_the_end_nor_a_missing_input(web: Web) -> None:
    web.one_after_another(page(1, 2), answer(b"gone", 404))
    with pytest.raises(MalformedInput, match=r"page 2 is not there, .*/orders: it answered 404 Not Found: gone"):
        web.fetch(paging={"by": "offset", "size": 2})


def test_an_offset_counts_the_rows_that_came(web: Web) -> None:
    web.one_after_another(page(1, 2), page(3), page())
    web.rows(paging={"by": "offset"})
    assert [query["offset"] for _, query in web.asked] == ["0", "2", "3"]


def test_a_cursor_leads_on_until_there_is_none(web: Web) -> None:
    web.one_after_another(
        answer({"rows": [{"id": 1}], "meta": {"next": "b"}}), answer({"rows": [], "meta": {"next": "c"}}),
        answer({"rows": [{"id": 2}], "meta": {"next": None}}),
    )  # fmt: skip
    found = web.rows(records="rows", paging={"by": "cursor", "parameter": "after", "cursor": "meta.next"})
    assert [row["id"] for row in found] == [1, 2]
    assert [query for _, query in web.asked] == [{}, {"after": "b"}, {"after": "c"}]


def test_a_link_header_leads_on(web: Web) -> None:
    web.one_after_another(answer([{"id": 1}], Link='</orders?after=1>; rel="next"'), page(2))
    assert [row["id"] for row in web.rows(parameters={"x": "y"}, paging={"by": "link"})] == [1, 2]
    assert web.asked == [("/orders", {"x": "y"}), ("/orders", {"after": "1"})]


def test_a_link_to_another_host_is_not_followed(web: Web) -> None:
    web.answers = lambda *_: answer([{"id": 1}], Link='<http://evil.example/orders?k=1>; rel="next"')
    with pytest.raises(MalformedInput, match=r"on another host, http://evil\.example/orders; it is not followed"):
        web.fetch(paging={"by": "link"})


def test_the_same_cursor_twice_is_an_error(web: Web) -> None:
    web.answers = lambda *_: answer({"rows": [{"id": 1}], "cursor": "b"})
    with pytest.raises(MalformedInput, match=r"the same next page twice \(b\)"):
        web.fetch(records="rows", paging={"by": "cursor"})


def test_a_service_that_does_not_know_the_parameter_is_an_error(web: Web) -> None:
    with pytest.raises(MalformedInput, match=r"two pages in a row are the same; does the service know .* pgae"):
        web.fetch(paging={"by": "page", "parameter": "pgae"})


def test_paging_without_an_end_is_an_error(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.sources.paging.MOST_PAGES", 20)
    web.answers = lambda path, query: page(int(query["page"]))
    with pytest.raises(MalformedInput, match="no end after 20 pages"):
        web.fetch(paging={"by": "page"})


def test_csv_pages_are_files_of_their_own(web: Web) -> None:
    web.one_after_another(answer(b"id\n1\n2\n"), answer(b"id\n3\n"), answer(b"id\n"))
    fetched = web.fetch(format="csv", paging={"by": "page"})
    assert [path.read_bytes() for path in fetched.paths] == [b"id\n1\n2\n", b"id\n3\n"]
    assert fetched.names == (f"{web.url}/orders (page-1)", f"{web.url}/orders (page-2)")


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_busy_service_is_asked_again(web: Web, code: int) -> None:
    web.one_after_another(answer(code=code), answer(code=code), page(1))
    assert web.rows() == [{"id": 1}]
    assert web.waited == [1.0, 2.0]


def test_a_wait_that_the_service_asks_for_is_kept(web: Web) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100))
    web.one_after_another(answer(code=429, Retry_After="7"), answer(code=503, Retry_After=date), page(1))
    web.rows()
    assert web.waited[0] == 7
    assert 95 < web.waited[1] <= 100


def test_a_service_that_stays_busy_is_tried_later(web: Web) -> None:
    web.answers = lambda *_: answer(code=503)
    with pytest.raises(Unavailable, match=r"orders: it answered 503, after 243 s of waiting for it; try again later"):
        web.fetch()
    assert web.waited == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_wait_beyond_all_patience_is_left_to_the_retries_of_the_task(web: Web) -> None:
    web.answers = lambda *_: answer(code=429, Retry_After="3600")
    with pytest.raises(Unavailable, match="answered 429"):
        web.fetch()
    assert web.waited == []


def test_a_service_that_is_away_is_tried_later(web: Web) -> None:
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:1/orders: ConnectError"):
        web.fetch(endpoint=WebServiceConnection("http://127.0.0.1:1"))


def test_an_answer_that_breaks_off_is_asked_for_again(web: Web) -> None:
    web.one_after_another(answer(b'[{"id"', Content_Length="100"), page(1))
    assert web.rows() == [{"id": 1}]
    assert web.waited == [1.0]


@pytest.mark.parametrize(("code", "error"), [(400, InputError), (401, InputError), (404, MissingInput)])
def test_a_refusal_names_the_address_without_secrets(web: Web, code: int, error: type[Exception]) -> None:
    web.answers = lambda *_: answer({"error": "nope"}, code=code)
    endpoint = WebServiceConnection(
        web.url.replace("//", "//bob:hidden@"), headers={"X-Key": "t0ken"}, auth=("ann", "s3cret")
    )
    with pytest.raises(error, match=rf'/orders: it answered {code} .*: {{"error": "nope"}}') as caught:
        web.fetch(endpoint=endpoint, parameters={"key": "s3cret"})
    assert not any(secret in str(caught.value) for secret in ("s3cret", "t0ken", "hidden"))
    assert web.waited == []


def test_a_redirect_is_not_followed_but_told(web: Web) -> None:
    web.answers = lambda *_: answer(code=301, Location="https://other.example/orders")
    with pytest.raises(InputError, match=r"answered 301 and points to https://other\.example/orders"):
        web.fetch()


@pytest.mark.parametrize("code", [200, 204])
def test_no_row_is_an_empty_input(web: Web, code: int) -> None:
    web.answers = lambda *_: answer(b"[]" if code == 200 else b"", code=code)
    with pytest.raises(EmptyInput, match=r"orders: the service gives no row for partition 2013-11-03"):
        web.fetch()


@pytest.mark.parametrize(
    ("kind", "pages", "message"),
    [
        ("csv", [b"<html>it is down</html>\n"], r"there is no column 'id'; there is '<html>it is down</html>'"),
        ("csv", [b""], "not even a header"),
        ("csv", [b"id\n1\n", b"<html>it is down</html>\n"], r"there is no column 'id'"),
        ("json", [b"null"], "expected a list of rows the answer; say in `records` where it is, found null"),
    ],
)
def test_an_answer_without_a_row_that_is_not_as_declared_is_malformed_and_not_empty(
    web: Web, kind: str, pages: list[bytes], message: str
) -> None:
    web.one_after_another(*map(answer, pages))
    paging = {"by": "page", "size": 1} if len(pages) > 1 else None
    with pytest.raises(MalformedInput, match=message):
        web.fetch(format=kind, columns={"id": "BIGINT"}, paging=paging)


def test_a_csv_page_of_a_header_ends_the_pages(web: Web) -> None:
    web.one_after_another(answer(b"id\n1\n"), answer(b"id\n"))
    fetched = web.fetch(format="csv", columns={"id": "BIGINT"}, paging={"by": "page", "size": 1})
    assert [path.read_bytes() for path in fetched.paths] == [b"id\n1\n"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "this is not JSON"),
        (b'{"data": 1}', r"expected a list of rows at `rows` of the answer, found null"),
        (b'{"rows": [NaN]}', "NaN is not JSON"),
    ],
)
def test_an_answer_that_is_not_what_the_yaml_says_is_malformed(web: Web, body: bytes, message: str) -> None:
    web.answers = lambda *_: answer(body)
    with pytest.raises(MalformedInput, match=message):
        web.fetch(records="rows")


def test_a_json_answer_that_would_not_fit_in_memory_is_refused(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST", 5)
    with pytest.raises(
        MalformedInput, match=r"more than 5 bytes of JSON, which is read as a whole; use `paging`, or `format: jsonl`"
    ):
        web.fetch()


class Dripping:
    """A body, or a head, that goes on for ever; counts what it got rid of."""

    def __init__(self, start: bytes, piece: bytes, *, most: int = 10**9) -> None:
        self.start, self.piece, self.most = start, piece, most
        self.sent = 0

    def __call__(self, file: Any) -> None:
        file.write(self.start)
        while self.sent < self.most:
            file.write(self.piece)
            file.flush()
            self.sent += len(self.piece)


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD + b"\r\nid\n", b"1\n"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\n1\n\r\n"),
        (HEAD + b"X: ", b"y"),
    ],
    ids=["body", "chunks", "head"],
)
def test_a_service_that_drips_for_ever_ends_at_the_deadline_of_a_page(web: Web, start: bytes, piece: bytes) -> None:
    """Each look at the clock is 20 seconds later: none of them reaches the time-out of one read."""
    ticks = itertools.count(0.0, 20.0)
    web.clock, web.raw = lambda: next(ticks), Dripping(start, piece)
    with pytest.raises(Unavailable, match=r"the answer has no end after 2m; .* raise `limits: {page_time: …}`"):
        web.fetch(format="csv", limits={"page_time": "2m"})


def test_pages_without_end_end_at_the_deadline_of_the_delivery(web: Web) -> None:
    ticks = itertools.count(0.0, 5.0)
    web.clock = lambda: next(ticks)
    web.answers = lambda path, query: page(len(web.asked))
    with pytest.raises(Unavailable, match=r"the delivery has no end after 10m; .* raise `limits: {time: …}`"):
        web.fetch(paging={"by": "page"}, limits={"time": "10m"})
    assert len(web.asked) < 120


def test_nothing_is_waited_for_behind_the_deadline(web: Web) -> None:
    web.answers = lambda *_: answer(code=503, Retry_After="200")
    with pytest.raises(Unavailable, match="it answered 503, and no time is left to wait for it"):
        web.fetch(limits={"time": "1m"})
    assert web.waited == []


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_body_is_not_read_further_than_the_limit(web: Web, kind: str) -> None:
    web.raw = Dripping(HEAD + b"\r\nid\n", b"1\n" * 50_000, most=200_000_000)
    with pytest.raises(MalformedInput, match=r"all answers together have more than 1 MB; .* `limits: {size: …}`"):
        web.fetch(format=kind, limits={"size": 1})
    assert web.raw.sent < 50_000_000
    assert sum(path.stat().st_size for path in web.folder.rglob("page-*")) <= 1_000_000


def test_the_limit_is_for_all_pages_together(web: Web) -> None:
    web.answers = lambda path, query: answer(b"id\n" + b"%d\n" % len(web.asked) * 100_000)
    with pytest.raises(MalformedInput, match=r"all answers together have more than 1 MB"):
        web.fetch(format="csv", paging={"by": "page"}, limits={"size": 1})
    assert len(web.asked) == 5


def test_json_is_not_read_further_than_what_is_read_as_a_whole(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST", 1000)
    web.raw = Dripping(HEAD + b"\r\n[", b"1, " * 50_000, most=200_000_000)
    with pytest.raises(MalformedInput, match="one answer has more than 1000 bytes of JSON"):
        web.fetch()
    assert web.raw.sent < 50_000_000


def test_what_is_packed_counts_unpacked(web: Web) -> None:
    web.answers = lambda *_: answer(gzip.compress(b"id\n" + b"1\n" * 5_000_000), Content_Encoding="gzip")
    with pytest.raises(MalformedInput, match="all answers together have more than 1 MB"):
        web.fetch(format="csv", limits={"size": 1})
    web.answers = lambda *_: answer(b"x", Content_Encoding="zstd")
    with pytest.raises(MalformedInput, match="the answer is packed as zstd, which was not asked for"):
        web.fetch(format="csv")


def test_of_a_refusal_only_the_beginning_is_read(web: Web) -> None:
    web.raw = Dripping(b"HTTP/1.1 403 No\r\n\r\n", b"no " * 50_000, most=200_000_000)
    with pytest.raises(InputError, match="it answered 403 No: no no no"):
        web.fetch()
    assert web.raw.sent < 50_000_000


def test_json_of_great_depth_is_malformed(web: Web) -> None:
    web.answers = lambda *_: answer(b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(MalformedInput, match="too many lists or objects inside each other"):
        web.fetch()


def test_an_answer_in_utf_16_is_named(web: Web) -> None:
    web.answers = lambda *_: answer("id\n1\n".encode("utf-16"))
    with pytest.raises(MalformedInput, match="the file is UTF-16, and UTF-8 is expected"):
        web.fetch(format="csv")


def test_an_unknown_placeholder_is_named(web: Web) -> None:
    with pytest.raises(SpecError, match=r"no placeholder \{day\}; there are \{partition\}, "):
        web.fetch("/orders/{day}")

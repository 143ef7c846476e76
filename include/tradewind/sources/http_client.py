"""Asking a web service: patiently where it is busy, and never saying more of an address than may be seen."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx

from tradewind.errors import InputError, MalformedInput, MissingInput, Unavailable, UsageError
from tradewind.sources.deadlines import Clock, Deadline, limit_time

if TYPE_CHECKING:
    from tradewind.core.connections import WebServiceConnection
    from tradewind.sources.paging import Request
    from tradewind.spec.sources import Limits

log = logging.getLogger(__name__)

PATIENCE = 300.0
"""Seconds that all waiting for one partition takes at most; then the task's own retries go on."""
_SLOWEST = 60.0
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_EXCERPT, _EXCERPT_READ = 200, 4096  # characters shown and bytes read of an answer that refuses
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_NOTHING = frozenset({404, 410})
_ENCODINGS = ("gzip", "deflate", "identity")


class HttpClient:
    """A client of one address; requests are repeated while the service is busy or away.

    :param endpoint: the connection
    :param path: below its address
    :param parameters: query parameters of every request
    :param limits: how large all answers together may be, and how long each and all may take
    :param wait: waits so many seconds
    """

    def __init__(
        self,
        endpoint: WebServiceConnection,
        path: str,
        parameters: Mapping[str, str],
        *,
        limits: Limits,
        wait: Callable[[float], None],
        clock: Clock,
    ) -> None:
        self._url = httpx.URL(f"{endpoint.url}/{path.lstrip('/')}")
        self._parameters = parameters
        self._wait = wait
        self._waited = 0.0
        auth = httpx.BasicAuth(*endpoint.auth) if endpoint.auth else None
        self._secrets = endpoint.secrets
        self._client = httpx.Client(headers=dict(endpoint.headers), auth=auth, timeout=_TIMEOUT)
        self._client.headers["Accept-Encoding"] = ", ".join(_ENCODINGS)
        self.name = _address_without_secrets(self._url)
        self._limits, self._clock = limits, clock
        self._size = limits.size * 10**6
        self._all = Deadline(limits.time, problem=f"{self.name}: the delivery has no end", field="time", clock=clock)
        self._page = self._all
        limit_time(self._client, lambda: min(self._page.left(), self._all.left()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, request: Request, body: Path, *, most: int | None = None) -> httpx.Response:
        """Write the answer's body into a file; it is not read further than the limits.

        :param most: bytes that it may have; None: what is left of the limit for all answers
        :returns: the answer without its body
        :raises MissingInput: there is nothing at this address
        :raises InputError: the service refuses the request
        :raises MalformedInput: the answer, or all together, are larger than the limit
        :raises Unavailable: it is away, or busy for longer than :data:`PATIENCE`, or takes longer than the limits
        """
        attempt = 0
        while True:
            try:
                response = self._once(request, body, most=most)
            except httpx.UnsupportedProtocol as exc:
                raise UsageError(
                    f"{self.name}: {exc}; give the connection a host like https://api.example.com"
                ) from exc
            except (httpx.TransportError, httpx.DecodingError) as exc:
                problem, after = self._secrets.mask(f"{type(exc).__name__}: {exc}"), None
            else:
                if response.status_code not in _BUSY:
                    return self._accepted(response, body)
                problem, after = f"it answered {response.status_code}", _retry_after(response)
            self._wait_or_give_up(problem, min(2.0**attempt, _SLOWEST) if after is None else after)
            attempt += 1

    def follow(self, link: str | None) -> str | None:
        """The full address behind a link of the service.

        :raises MalformedInput: it leads elsewhere, and the connection's secrets would go there
        """
        if link is None:
            return None
        url = self._url.join(link)
        if (url.scheme, url.host, url.port) != (self._url.scheme, self._url.host, self._url.port):
            raise MalformedInput(
                f"{self.name}: the next page is on another host, {_address_without_secrets(url)}; it is not followed"
            )
        return str(url)

    def _once(self, request: Request, body: Path, *, most: int | None) -> httpx.Response:
        self._page = Deadline(
            self._limits.page_time, problem=f"{self.name}: the answer has no end", field="page_time", clock=self._clock
        )
        url = self._url if request.url is None else httpx.URL(request.url)
        # What stands in a link is complete: the service made it from the first request.
        parameters = {} if request.url else {**self._parameters, **(request.parameters or {})}
        url = url.copy_merge_params(parameters) if parameters else url
        with self._client.stream("GET", url) as response, body.open("wb") as file:
            if (encoding := response.headers.get("content-encoding", "identity").lower()) not in _ENCODINGS:
                raise MalformedInput(f"{self.name}: the answer is packed as {encoding}, which was not asked for")
            size = 0
            for piece in response.iter_bytes():
                size += len(piece)
                self._refuse_size(size, most if response.is_success else None)
                file.write(piece)
                if not response.is_success and size > _EXCERPT_READ:
                    break
        self._size -= size
        return response

    def _refuse_size(self, size: int, most: int | None) -> None:
        if most is not None and size > most:
            raise MalformedInput(
                f"{self.name}: one answer has more than {most} bytes of JSON, which is read as a whole; use `paging`, "
                "or `format: jsonl`"
            )
        if size > self._size:
            raise MalformedInput(
                f"{self.name}: all answers together have more than {self._limits.size:,} MB; if that is right, raise "
                "`limits: {size: …}`"
            )

    def _accepted(self, response: httpx.Response, body: Path) -> httpx.Response:
        if response.is_success:
            return response
        code = response.status_code
        if response.is_redirect:
            target = _address_without_secrets(self._url.join(response.headers.get("location", "")))
            raise InputError(f"{self.name}: it answered {code} and points to {target}; put that into the connection")
        with body.open("rb") as file:
            # Masked before it is cut: half of a password is known to no mask.
            text = self._secrets.mask(" ".join(file.read(_EXCERPT_READ).decode("utf-8", "replace").split()))
        body.unlink()
        excerpt = f": {text[:_EXCERPT]}" if text else ""
        message = f"{self.name}: it answered {code} {self._secrets.mask(response.reason_phrase)}{excerpt}"
        if code in _NOTHING:
            raise MissingInput(message)
        hint = "; see login, password and headers of the connection" if code in (401, 403) else ""
        raise InputError(f"{message}{hint}")

    def _wait_or_give_up(self, problem: str, seconds: float) -> None:
        if self._waited + seconds > PATIENCE:
            raise Unavailable(f"{self.name}: {problem}, after {self._waited:.0f} s of waiting for it; try again later")
        if seconds > self._all.left():
            raise Unavailable(f"{self.name}: {problem}, and no time is left to wait for it; try again later")
        log.info("%s: %s; again in %.0f s", self.name, problem, seconds)
        self._wait(seconds)
        # A service that says `Retry-After: 0` for ever is given up too.
        self._waited += max(seconds, 1.0)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the service wants to be left alone: a number or a date."""
    text = response.headers.get("retry-after", "")
    if text.isdigit():
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    return None


def _address_without_secrets(url: httpx.URL) -> str:
    """An address without what may be secret: user, password and query."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))

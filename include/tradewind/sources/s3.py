"""Files in an object store: found by their names and copied as a stream."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from tradewind.core.connections import ObjectStoreConnection
from tradewind.core.disk import translate_disk_errors
from tradewind.core.network import call_after
from tradewind.errors import MalformedInput, MissingInput, Unavailable
from tradewind.spec.scalars import format_duration

_CHUNK = 8 * 2**20
_SECONDS = 60
_FORBIDDEN = frozenset({"AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})
_ABSENT = frozenset({"NoSuchKey", "404"})


class ObjectStore:
    """An object store behind a connection.

    :param connection: where it is and who asks
    :param called: id of the connection, for messages
    :param longest: how long copying may take, from now on, also from a store that sends a byte now and then
    """

    def __init__(
        self, connection: ObjectStoreConnection, *, called: str, longest: timedelta = timedelta(hours=1)
    ) -> None:
        import boto3
        from botocore.config import Config

        given = connection.options
        self._called = called
        self._longest = longest
        self._end = time.monotonic() + longest.total_seconds()
        self._secrets = connection.secrets
        self._client: Any = boto3.client(
            "s3",
            aws_access_key_id=given.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=given.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=given.get("AWS_SESSION_TOKEN"),
            region_name=given.get("AWS_REGION"),
            endpoint_url=given.get("AWS_ENDPOINT_URL"),
            config=Config(
                connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"mode": "standard", "max_attempts": 4}
            ),
        )

    def find(self, pattern: re.Pattern[str], *, bucket: str, prefix: str) -> list[str]:
        """URIs of the objects whose key matches, sorted.

        :param prefix: what their keys begin with
        :raises MalformedInput: the store refuses to list them, or there is no such bucket
        :raises Unavailable: it is away
        """
        with self._explained(f"s3://{bucket}/{prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return [f"s3://{bucket}/{key}" for key in sorted(keys) if pattern.fullmatch(key)]

    def copy(self, uri: str, target: Path) -> None:
        """Copy an object into a file.

        :raises MissingInput: it is not there any more
        :raises MalformedInput: the store refuses to give it
        :raises Unavailable: the store is away, or the stream broke off
        """
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        with self._explained(uri):
            answer = self._client.get_object(Bucket=bucket, Key=key)
            with (
                self._in_time(uri, answer["Body"]),
                translate_disk_errors(f"{uri} cannot be copied", target.parent),
                target.open("wb") as file,
            ):
                for chunk in answer["Body"].iter_chunks(_CHUNK):
                    file.write(chunk)
        if target.stat().st_size != answer["ContentLength"]:
            raise Unavailable(f"{uri}: only a part of it came; try again")

    @contextmanager
    def _in_time(self, uri: str, body: Any) -> Iterator[None]:
        """Limit the copying as a whole: the client's own time-outs begin anew with each byte."""
        problem = (
            f"{uri}: the store behind {self._called} has not sent it after {format_duration(self._longest)}; "
            "try again later, or raise `limits: {time: …}`"
        )
        # botocore shows no way to its socket; its answers are those of urllib3.
        with call_after(max(0.0, self._end - time.monotonic()), lambda: body._raw_stream.shutdown()) as ended:
            try:
                yield
            except Exception as exc:
                if ended.is_set():
                    raise Unavailable(problem) from exc
                raise
            if ended.is_set():
                raise Unavailable(problem)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            yield
        except ClientError as exc:
            code = str(exc.response.get("Error", {}).get("Code", ""))
            if code in _ABSENT:
                raise MissingInput(
                    f"{what} is not there ({code}); look at its name and the connection {self._called}"
                ) from exc
            if code == "NoSuchBucket":  # no delivery that is late: `missing` must not wait for it, or leave it out
                raise MalformedInput(f"{what}: there is no such bucket; look at the connection {self._called}") from exc
            if code in _FORBIDDEN:
                raise MalformedInput(f"{what} must not be read with the connection {self._called} ({code})") from exc
            raise Unavailable(f"{what}: the store behind {self._called} answers {code}; try again") from exc
        except NoCredentialsError as exc:
            raise MalformedInput(f"{what}: the connection {self._called} has no credentials") from exc
        except (BotoCoreError, OSError) as exc:
            reason = self._secrets.mask(str(exc))
            raise Unavailable(f"{what}: the store behind {self._called} cannot be reached: {reason}") from exc

"""Every error that Tradewind raises, as one tree.

TradewindError
├── SpecError                 the YAML of a pipeline is wrong; says where
├── UsageError                the caller asked for something that cannot be
│   └── InvalidPartitionKey   a partition key that is malformed or outside start…end
├── MissingExtra              an optional dependency is not installed
├── InputError                what a pipeline reads is not right; never retried
│   ├── MissingInput          a file or partition that must be there is not
│   ├── EmptyInput            an input is there and has no row
│   └── MalformedInput        a file that cannot be read as declared
├── TransformError            user SQL failed
├── AuditFailed               staged rows failed their checks and are in quarantine
├── ModelError                a model cannot be built, logged, loaded or used
│   ├── ModelFilesChanged     the files of a version are not those that were judged; nothing was loaded
│   └── MetricError           a metric of the project is not there, fails, or does not return a number
├── LeftOut                   a partition is left out on purpose; nothing is published for it
├── Held                      a person holds the pipeline; nothing runs until it is resumed
├── Conflict                  another run published or promoted first
└── Unavailable               a service or a partition is not there *yet*; retried
    ├── StorageFault          a disk is full, read-only or failing
    ├── NoAnswer              a database stays connected and says nothing; the connection was ended
    ├── NotReady              an earlier partition has not been completed yet
    └── NotDelivered          an input has not come yet; it is looked for again
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

# Greedy up to the last @ before a slash or a space: a password may hold an @ that is not encoded.
_USERINFO = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/'\"<>]*@")


def mask_userinfo(text: str) -> str:
    """The text with user and password of every URI in it replaced."""
    return _USERINFO.sub(r"\1***@", text) if "@" in text else text


class TradewindError(Exception):
    """Base of all errors of Tradewind; its message names the object and what to do next, and no password of a URI."""

    def __init__(self, message: str = "") -> None:
        super().__init__(mask_userinfo(message))


class SpecError(TradewindError):
    """The YAML of a pipeline is wrong. The message has one block per problem with file, line and column."""


class UsageError(TradewindError):
    """The caller asked for something that cannot be."""


class InvalidPartitionKey(UsageError):
    """A partition key is malformed or outside the pipeline's ``start…end``."""


class MissingExtra(TradewindError):
    """An optional dependency is not installed; the message is the ``pip install`` line."""


class InputError(TradewindError):
    """What a pipeline reads is not right. Trying again without a change cannot help."""


class MissingInput(InputError):
    """A file or partition that must be there is not."""


class EmptyInput(InputError):
    """An input is there and has no row."""


class MalformedInput(InputError):
    """A file cannot be read as declared; the message names the file.

    :param message: what is wrong, and where
    :param kept: file in quarantine with the malformed rows, where only these are wrong
    """

    def __init__(self, message: str, *, kept: Path | None = None) -> None:
        super().__init__(message)
        self.kept = kept


class TransformError(TradewindError):
    """User SQL failed; the message names the ``.sql`` file.

    :param message: what is wrong
    :param running: it failed while rows were computed, so what it reads may be at fault
    """

    def __init__(self, message: str, *, running: bool = False) -> None:
        super().__init__(message)
        self.running = running


class AuditFailed(TradewindError):
    """Staged rows failed their checks; they are in quarantine and nothing was published.

    :param message: what failed
    :param report: path of the audit's report, if there is one
    """

    def __init__(self, message: str, *, report: str | None = None) -> None:
        super().__init__(message)
        self.report = report


class ModelError(TradewindError):
    """A model cannot be built, logged, loaded or used."""


class ModelFilesChanged(ModelError):
    """Files of a model version are missing or are not those that were judged; the message names them."""


class MetricError(ModelError):
    """A metric of the project is not there, fails, or does not return a number; the message names file and function."""


class LeftOut(TradewindError):
    """A partition is left out on purpose: by the YAML's `skip` or by a person. Nothing is published for it."""


class Held(TradewindError):
    """A person holds the pipeline: nothing of it runs until it is resumed."""


class Conflict(TradewindError):
    """Another run published or promoted first; the state that won is untouched."""


class Unavailable(TradewindError):
    """A service is not there for a while. The only branch of the tree that is retried."""


class StorageFault(Unavailable):
    """A disk is full, read-only or failing; the message names the folder and what is free there."""


class NoAnswer(Unavailable):
    """A database that stays connected gave no answer in time; the message names it and the seconds."""


class NotReady(Unavailable):
    """Something that an earlier partition must complete is not complete yet.

    :param message: what is missing and who needs it
    :param stage: the stage that must complete first; None when only time can tell
    :param partition: the partition of that stage
    """

    def __init__(self, message: str, *, stage: str | None = None, partition: str | None = None) -> None:
        super().__init__(message)
        self.stage = stage
        self.partition = partition


class NotDelivered(Unavailable):
    """An input has not come yet; it is looked for again, without holding a worker slot.

    :param message: what has not come
    :param wait_for: how long it is waited for, counted from the run's start
    """

    def __init__(self, message: str, *, wait_for: timedelta) -> None:
        super().__init__(message)
        self.wait_for = wait_for

"""The trial of a candidate: every process that it needs, at once; and everything that the gates then judge.

The candidate runs in a clean interpreter, the champion and each heuristic in processes of their own. They load and
predict while this process asks the feature definitions and puts the rows together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tradewind.core.gates import CANDIDATE, CHAMPION, Measurement, TestRows
from tradewind.errors import ModelError, ModelFilesChanged
from tradewind.ledger.journal import Ledger
from tradewind.models import opponents, sameness, serving, signature, tasks
from tradewind.models.inputs import training
from tradewind.models.opening import OpenedModel, open_model
from tradewind.models.registry import Registry, Version
from tradewind.models.serving import Running

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from tradewind.core.runtime import Runtime
    from tradewind.ledger.champions import Champion
    from tradewind.models.host import ModelHost
    from tradewind.models.opponents import Answer
    from tradewind.spec.gates import Gate
    from tradewind.spec.models import Pipeline


@dataclass(frozen=True, slots=True)
class Tried:
    """What the gates judge.

    :param gates: those of the YAML, and the checks that are made of every candidate
    :param measurements: what the checks found, by the position of their gate
    :param classes: the classes by number, for ``multiclass``
    :param remarks: what a reader should know of the rows
    :param partitions: partitions of the rows; the candidate's test partitions if None
    :param same_as: the version that the candidate predicts as, where a promotion would change nothing
    """

    gates: tuple[Gate, ...]
    test: TestRows
    measurements: Mapping[int, Measurement]
    classes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    partitions: Sequence[str] | None = None
    same_as: str | None = None


@dataclass(frozen=True, slots=True)
class Logged:
    """What was logged with the candidate: the rows that judge it, and an example with what was predicted then."""

    rows: pa.Table
    example: tuple[pa.Table, npt.NDArray[Any]] | None


def tried(
    spec: Pipeline, runtime: Runtime, registry: Registry, *, candidate: Version, champion: Champion | None
) -> Tried:
    """Let candidate, champion, majority and heuristics predict the candidate's test rows, and measure the candidate.

    A champion whose files are gone or not those that were judged, or that fails at the rows, is absent with the reason:
    not as if there were none. A candidate whose files have changed is not loaded, and fails every check.

    :raises ModelError: the candidate's files or its test rows are gone
    :raises Unavailable: the model registry does not answer
    """
    with ExitStack() as stack:
        # Processes first: a warm host is a fork, and this process has used nothing yet.
        ledger = Ledger(runtime.ledger)
        opened = _opened(spec, runtime, candidate, ledger, stack)
        rival, against, why = _rival(spec, runtime, champion, ledger, stack)
        behind = sameness.judged_behind(
            spec, runtime, registry, ledger, stack, candidate=candidate, champion=champion
        )  # fmt: skip
        rules = stack.enter_context(opponents.rules(spec, runtime))
        logged = logged_rows(registry, candidate)
        rows, asked = logged.rows, serving.asked(spec.gates, rows=logged.rows.num_rows)
        running = opened if isinstance(opened, ModelError) else running_candidate(spec, opened, logged)
        pool = stack.enter_context(ThreadPoolExecutor(2))
        ours = pool.submit(begin_serving, running, asked)
        theirs = pool.submit(_answer, rival, rows) if rival is not None else None
        wanted = signature.expected(spec, runtime)
        others = opponents.others(spec, runtime, rows, candidate=candidate, rules=rules)
        loaded, answer = ours.result()
        answers: dict[str, Answer | ModelError] = {**others, CANDIDATE: answer}
        if champion is not None:
            answers[CHAMPION] = theirs.result() if theirs is not None else why
        measurements = serving.measure(asked, running=running, loaded=loaded, wanted=wanted)
        ready = opponents.test_rows(spec, runtime, rows, answers=answers, candidate=candidate, champion=against)
        same_as = sameness.version_alike(
            training(spec), ready.test, behind, champion=champion, rows=rows,
            before=logged_rows(registry, behind.version).rows if behind else None, ours=answer,
        )  # fmt: skip
    return Tried(asked, ready.test, measurements, ready.classes, ready.notes, same_as=same_as)


def _opened(
    spec: Pipeline, runtime: Runtime, candidate: Version, ledger: Ledger, stack: ExitStack
) -> OpenedModel | ModelFilesChanged:
    """The candidate in a clean process; or that its files are not those that were trained."""
    timeout, own = serving.limit(spec.gates), replace(runtime, hosts=None)
    try:
        return stack.enter_context(open_model(spec, candidate, own, ledger, warm=False, timeout=timeout))
    except ModelFilesChanged as exc:
        return exc


def _rival(
    spec: Pipeline, runtime: Runtime, champion: Champion | None, ledger: Ledger, stack: ExitStack
) -> tuple[ModelHost | None, Version | None, ModelError]:
    """The champion's process, or why it has none."""
    if champion is None:
        return None, None, ModelError("there is no champion")
    try:
        version = Registry(runtime, champion.model_name).get(champion.model_version)
        opened = stack.enter_context(open_model(spec, version, runtime, ledger))
    except ModelError as exc:
        return None, None, exc
    return opened.host, version, ModelError("")


def logged_rows(registry: Registry, candidate: Version) -> Logged:
    """Read what was logged with a version."""
    import numpy as np
    import pyarrow.parquet as pq

    with registry.evidence(candidate) as folder:
        rows, example = pq.read_table(folder / "test.parquet"), None
        if (folder / "example.parquet").exists() and (folder / "example.json").exists():
            then = json.loads((folder / "example.json").read_text())["predictions"]
            example = pq.read_table(folder / "example.parquet"), np.asarray(then, dtype=np.float64)
    return Logged(rows, example)


def running_candidate(spec: Pipeline, opened: OpenedModel, logged: Logged) -> Running:
    """A version in its clean process, and what the checks of serving hold it against."""
    label = training(spec).label.column
    spread = None
    if training(spec).task == "regression":
        spread = float(tasks.labels(logged.rows[label], "regression", label).std())
    rows = logged.rows.drop_columns([label])
    return Running(opened.host, opened.folder, rows, logged.example, spread, training(spec).seed)


def begin_serving(
    running: Running | ModelError, asked: Sequence[Gate]
) -> tuple[Mapping[int, float] | ModelError, Answer | ModelError]:
    """Let a version load and predict the test rows: the seconds that :func:`serving.load` measured, and its answers."""
    if isinstance(running, ModelError):
        return running, running
    try:
        loaded = serving.load(running, asked)
    except ModelError as exc:
        return exc, exc
    return loaded, _answer(running.host, running.rows)


def _answer(host: ModelHost, rows: pa.Table) -> Answer | ModelError:
    try:
        return host.predict(rows), host.classes
    except ModelError as exc:
        return exc

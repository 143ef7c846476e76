"""The trial of a candidate: every process that it needs, at once; and everything that the gates then judge.

The candidate runs in a clean interpreter, the champion and each heuristic in processes of their own. They load and
predict while this process asks the feature definitions and puts the rows together.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core.gates import CANDIDATE, CHAMPION, Measurement, TestRows
from tradewind.errors import ModelError
from tradewind.ledger.journal import Ledger
from tradewind.models import opponents, serving, signature, tasks
from tradewind.models.host import ModelHost
from tradewind.models.inputs import training
from tradewind.models.registry import Registry, Version
from tradewind.models.serving import Running

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from tradewind.core.runtime import Runtime
    from tradewind.ledger.champions import Champion
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
    """

    gates: tuple[Gate, ...]
    test: TestRows
    measurements: Mapping[int, Measurement]
    classes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    partitions: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class _Logged:
    """What was logged with the candidate: the rows that judge it, and an example with what was predicted then."""

    rows: pa.Table
    example: tuple[pa.Table, npt.NDArray[Any]] | None


def tried(
    spec: Pipeline, runtime: Runtime, registry: Registry, *, candidate: Version, champion: Champion | None
) -> Tried:
    """Let candidate, champion, majority and heuristics predict the candidate's test rows, and measure the candidate.

    A champion whose files are gone, or that fails at the rows, is absent with the reason: not as if there were none.

    :raises ModelError: the candidate's files or its test rows are gone
    :raises Unavailable: the model registry does not answer
    """
    with ExitStack() as stack:
        # Processes first: a warm host is a fork, and this process has used nothing yet.
        folder = stack.enter_context(registry.folder(candidate))
        started = time.monotonic()
        host = stack.enter_context(
            ModelHost(folder, name=str(candidate), warm=False, timeout=serving.limit(spec.gates))
        )  # fmt: skip
        rival, against, why = _rival(runtime, champion, stack)
        rules = stack.enter_context(opponents.rules(spec, runtime))
        logged = _logged(registry, candidate)
        rows, asked = logged.rows, serving.asked(spec.gates, rows=logged.rows.num_rows)
        running = _running(spec, runtime, candidate, logged, host=host, folder=folder, started=started)
        pool = stack.enter_context(ThreadPoolExecutor(2))
        ours = pool.submit(_begin, running, asked)
        theirs = pool.submit(_answer, rival, rows) if rival is not None else None
        wanted = signature.expected(spec, runtime)
        others = opponents.others(spec, runtime, rows, candidate=candidate, rules=rules)
        loaded, answer = ours.result()
        answers: dict[str, Answer | ModelError] = {**others, CANDIDATE: answer}
        if champion is not None:
            answers[CHAMPION] = theirs.result() if theirs is not None else why
        measurements = serving.measure(asked, running=running, loaded=loaded, wanted=wanted)
    ready = opponents.test_rows(spec, runtime, rows, answers=answers, candidate=candidate, champion=against)
    return Tried(asked, ready.test, measurements, ready.classes, ready.notes)


def _rival(
    runtime: Runtime, champion: Champion | None, stack: ExitStack
) -> tuple[ModelHost | None, Version | None, ModelError]:
    """The champion's process, or why it has none."""
    if champion is None:
        return None, None, ModelError("there is no champion")
    registry = Registry(runtime, champion.model_name)
    try:
        version = registry.get(champion.model_version)
        folder = stack.enter_context(registry.folder(version))
    except ModelError as exc:
        return None, None, exc
    return stack.enter_context(ModelHost(folder, name=str(version), warm=runtime.warm)), version, ModelError("")


def _logged(registry: Registry, candidate: Version) -> _Logged:
    import numpy as np
    import pyarrow.parquet as pq

    with registry.evidence(candidate) as folder:
        rows, example = pq.read_table(folder / "test.parquet"), None
        if (folder / "example.parquet").exists() and (folder / "example.json").exists():
            then = json.loads((folder / "example.json").read_text())["predictions"]
            example = pq.read_table(folder / "example.parquet"), np.asarray(then, dtype=np.float64)
    return _Logged(rows, example)


def _running(
    spec: Pipeline, runtime: Runtime, candidate: Version, logged: _Logged, *,
    host: ModelHost, folder: Path, started: float,
) -> Running:  # fmt: skip
    trained = Ledger(runtime.ledger).find(spec.pipeline, "trained", subject=candidate.version)
    label = training(spec).label.column
    spread = None
    if training(spec).task == "regression":
        spread = float(tasks.labels(logged.rows[label], "regression", label).std())
    return Running(
        host=host,
        folder=folder,
        started=started,
        rows=logged.rows.drop_columns([label]),
        example=logged.example,
        digest=trained[-1].evidence.get("model_digest") if trained else None,
        spread=spread,
        seed=training(spec).seed,
    )


def _begin(running: Running, asked: Sequence[Gate]) -> tuple[Mapping[int, float] | ModelError, Answer | ModelError]:
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

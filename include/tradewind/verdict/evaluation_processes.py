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

from tradewind.core.gate_results import Measurement
from tradewind.deployment import Deployment
from tradewind.errors import ModelError, ModelFilesChanged
from tradewind.isolation import task_outputs
from tradewind.metrics.judged_rows import CANDIDATE, CHAMPION, TestRows
from tradewind.registry.model_registry import ModelRegistry, RegisteredVersion
from tradewind.registry.version_files import OpenedModel, open_model
from tradewind.training import model_signature
from tradewind.training.model_inputs import train_config
from tradewind.verdict import comparators, serving_checks, unchanged_candidate
from tradewind.verdict.serving_checks import RunningCandidate

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from tradewind.isolation.model_client import ModelHost
    from tradewind.ledger.champions import ChampionChange
    from tradewind.spec.gate_kind import Gate
    from tradewind.spec.pipeline import Pipeline
    from tradewind.verdict.comparators import Answer


@dataclass(frozen=True, slots=True)
class CandidateEvaluation:
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
class LoggedRows:
    """What was logged with the candidate: the rows that judge it, and an example with what was predicted then."""

    rows: pa.Table
    example: tuple[pa.Table, npt.NDArray[Any]] | None


def evaluate_candidate(
    deployment: Deployment, registry: ModelRegistry, *, candidate: RegisteredVersion, champion: ChampionChange | None
) -> CandidateEvaluation:
    """Let candidate, champion, majority and heuristics predict the candidate's test rows, and measure the candidate.

    A champion whose files are gone or not those that were judged, or that fails at the rows, is absent with the reason:
    not as if there were none. A candidate whose files have changed is not loaded, and fails every check.

    :raises ModelError: the candidate's files or its test rows are gone
    :raises Unavailable: the model registry does not answer
    """
    spec = deployment.spec
    with ExitStack() as stack:
        # Processes first: a warm host is a fork, and this process has used nothing yet.
        opened = _open_candidate(deployment, candidate, stack)
        rival, against, why = _open_champion(deployment, champion, stack)
        behind = unchanged_candidate.open_judged_version(
            deployment, registry, stack, candidate=candidate, champion=champion
        )
        rules = stack.enter_context(comparators.start_heuristics(deployment))
        logged = read_logged_rows(registry, candidate)
        rows, asked = logged.rows, serving_checks.gates_with_defaults(spec.gates, rows=logged.rows.num_rows)
        running = opened if isinstance(opened, ModelError) else make_running_candidate(spec, opened, logged)
        pool = stack.enter_context(ThreadPoolExecutor(2))
        ours = pool.submit(load_and_predict, running, asked)
        theirs = pool.submit(_predict_or_error, rival, rows) if rival is not None else None
        wanted = model_signature.expected_input_columns(deployment)
        others = comparators.predict_comparators(deployment, rows, candidate=candidate, rules=rules)
        loaded, answer = ours.result()
        answers: dict[str, Answer | ModelError] = {**others, CANDIDATE: answer}
        if champion is not None:
            answers[CHAMPION] = theirs.result() if theirs is not None else why
        measurements = serving_checks.measure_serving(asked, running=running, loaded=loaded, wanted=wanted)
        ready = comparators.prepare_test_rows(deployment, rows, answers=answers, candidate=candidate, champion=against)
        same_as = unchanged_candidate.find_equivalent_version(
            train_config(spec), ready.test, behind, champion=champion, rows=rows,
            before=read_logged_rows(registry, behind.version).rows if behind else None, ours=answer,
        )  # fmt: skip
    return CandidateEvaluation(asked, ready.test, measurements, ready.classes, ready.notes, same_as=same_as)


def _open_candidate(
    deployment: Deployment, candidate: RegisteredVersion, stack: ExitStack
) -> OpenedModel | ModelFilesChanged:
    """The candidate in a clean process; or that its files are not those that were trained."""
    timeout, own = serving_checks.answer_timeout(deployment.spec.gates), replace(deployment.runtime, hosts=None)
    try:
        return stack.enter_context(open_model(Deployment(deployment.spec, own), candidate, warm=False, timeout=timeout))
    except ModelFilesChanged as exc:
        return exc


def _open_champion(
    deployment: Deployment, champion: ChampionChange | None, stack: ExitStack
) -> tuple[ModelHost | None, RegisteredVersion | None, ModelError]:
    """The champion's process, or why it has none."""
    if champion is None:
        return None, None, ModelError("there is no champion")
    try:
        version = ModelRegistry(deployment.runtime, champion.model_name).get(champion.model_version)
        opened = stack.enter_context(open_model(deployment, version))
    except ModelError as exc:
        return None, None, exc
    return opened.host, version, ModelError("")


def read_logged_rows(registry: ModelRegistry, candidate: RegisteredVersion) -> LoggedRows:
    """Read what was logged with a version."""
    import numpy as np
    import pyarrow.parquet as pq

    with registry.evidence(candidate) as folder:
        rows, example = pq.read_table(folder / "test.parquet"), None
        if (folder / "example.parquet").exists() and (folder / "example.json").exists():
            then = json.loads((folder / "example.json").read_text())["predictions"]
            example = pq.read_table(folder / "example.parquet"), np.asarray(then, dtype=np.float64)
    return LoggedRows(rows, example)


def make_running_candidate(spec: Pipeline, opened: OpenedModel, logged: LoggedRows) -> RunningCandidate:
    """A version in its clean process, and what the checks of serving hold it against."""
    label = train_config(spec).label.column
    spread = None
    if train_config(spec).task == "regression":
        spread = float(task_outputs.task_labels(logged.rows[label], "regression", label).std())
    rows = logged.rows.drop_columns([label])
    return RunningCandidate(opened.host, opened.folder, rows, logged.example, spread, train_config(spec).seed)


def load_and_predict(
    running: RunningCandidate | ModelError, asked: Sequence[Gate]
) -> tuple[Mapping[int, float] | ModelError, Answer | ModelError]:
    """Let a version load and predict the test rows: seconds (:func:`serving_checks.measure_loading`) and answers."""
    if isinstance(running, ModelError):
        return running, running
    try:
        loaded = serving_checks.measure_loading(running, asked)
    except ModelError as exc:
        return exc, exc
    return loaded, _predict_or_error(running.host, running.rows)


def _predict_or_error(host: ModelHost, rows: pa.Table) -> Answer | ModelError:
    try:
        return host.predict(rows), host.classes
    except ModelError as exc:
        return exc

"""A model version made again: from the data, code, parameters and seed that were recorded, and compared with itself.

Nothing is registered and no champion changes. Everything that is written lies in a folder of its own, which goes away.
"""

from __future__ import annotations

import logging
import platform
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tradewind.deployment import Deployment
from tradewind.errors import MissingInput, ModelError, SpecError, UsageError
from tradewind.isolation.project_code import import_project_code
from tradewind.lake import digests, storage
from tradewind.lake.dataset import Lake
from tradewind.ledger.journal import Entry, Ledger
from tradewind.registry import archive
from tradewind.registry.model_registry import open_registry
from tradewind.registry.version_files import open_model
from tradewind.spec.digest import config_hash
from tradewind.training import evidence, recorded_training, reproduction_comparison
from tradewind.training.fitting import fit_candidate, training_config_hash
from tradewind.training.recorded_training import RecordedTraining
from tradewind.training.reproduction_comparison import TOLERANCE, ReproductionDifference
from tradewind.training.training_plan import FittedCandidate

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.isolation.model_client import ModelHost
    from tradewind.isolation.project_code import ProjectCode
    from tradewind.registry.model_registry import RegisteredVersion
    from tradewind.spec.pipeline import Pipeline
    from tradewind.training.training_plan import TrainingPlan

log = logging.getLogger(__name__)

ReproductionOutcome = Literal["identical", "equal within tolerance", "different", "impossible"]


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of making a version again.

    :param partition: at which it was trained
    :param outcome: ``identical`` to the bit, ``equal within tolerance``, ``different``, or ``impossible``
    :param reason: in a sentence
    :param differences: all of them
    :param notes: what is not as it was and made no difference, or may explain one
    :param rows: test rows that both predicted
    :param metrics: of the version and of its reproduction, by name
    """

    pipeline: str
    version: str
    partition: str
    outcome: ReproductionOutcome
    reason: str
    differences: tuple[ReproductionDifference, ...] = ()
    notes: tuple[str, ...] = ()
    rows: int = 0
    metrics: dict[str, tuple[float | None, float | None]] | None = None
    tolerance: float = TOLERANCE


def reproduce_version(deployment: Deployment, version: str | None) -> Reproduction:
    """Train a version again from what was recorded of it, compare, and journal what came of it.

    :param spec: today's YAML of its pipeline
    :param version: None for the champion
    :raises UsageError: there is no such version, or no champion
    :raises Unavailable: MLflow or the lake does not answer
    """
    ledger = deployment.ledger
    found = _find_version(deployment, version)
    partition = found.tags.get("tradewind.partition", "")
    try:
        _require_rows(deployment.spec, ledger, found)
        result = _refit_and_compare(deployment, found)
    except (MissingInput, ModelError, SpecError) as exc:
        result = Reproduction(deployment.spec.pipeline, found.version, partition, "impossible", str(exc))
    _journal_reproduction(result, deployment.runtime, ledger)
    log.info("%s: %s: %s", found, result.outcome, result.reason)
    return result


def _find_version(deployment: Deployment, version: str | None) -> RegisteredVersion:
    spec = deployment.spec
    if version is None:
        changes = deployment.ledger.champions(spec.pipeline)
        if not changes:
            raise UsageError(f"{spec.pipeline} has no champion yet; name a version: {spec.pipeline}/VERSION")
        version = changes[-1].model_version
    known = archive.list_model_versions(spec.model_name, deployment.runtime)
    if version not in known:
        there = f"there are {', '.join(known)}" if known else "there is none"
        text = f"the model registry has no version {version} of {spec.pipeline}; {there}"
        if deployment.ledger.find(spec.pipeline, "trained", subject=version):
            raise MissingInput(f"{text}, although the ledger knows its training: restore the registry")
        raise UsageError(text)
    return open_registry(deployment).get(version)


def _require_rows(spec: Pipeline, ledger: Ledger, version: RegisteredVersion) -> None:
    if erased := ledger.find(spec.pipeline, "erased", subject=version.version):
        raise MissingInput(f"{version}: {erased[-1].reason} (by {erased[-1].actor})")


def _refit_and_compare(deployment: Deployment, version: RegisteredVersion) -> Reproduction:
    spec, runtime = deployment.spec, deployment.runtime
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tradewind-reproduce-")))
        registry = open_registry(deployment)
        opened = stack.enter_context(open_model(deployment, version, warm=False))
        was = recorded_training.read_recorded_training(spec, version, stack.enter_context(registry.evidence(version)))
        code, borrowed = recorded_training.write_recorded_project(
            was, opened.folder, scratch / "project", runtime.project
        )
        then = Deployment(was.spec, recorded_training.scratch_runtime(runtime, scratch))
        found = [*_data_differences(was, deployment.lake), *_code_differences(was, code)]
        with import_project_code(code) as build_model:
            config = training_config_hash(then, was.window, metric_code=was.metric_code)
            found += _configuration_differences(was, config, borrowed)
            plan = was.plan(then, code, config=config)
            built = _fit_again(plan, build_model, was)
            if isinstance(built, ReproductionDifference):
                found.append(built)
                return Reproduction(
                    spec.pipeline,
                    version.version,
                    was.partition,
                    "different",
                    _describe_differences(found),
                    tuple(found),
                )
            libraries = evidence.training_environment(plan, built)
        now = {"Python": platform.python_version(), **libraries["libraries"]}
        return _compare_models(
            version, was, built, opened.host, found, recorded_training.differing_libraries(was.libraries, now)
        )


def _fit_again(plan: TrainingPlan, build_model: Any, was: RecordedTraining) -> FittedCandidate | ReproductionDifference:
    """The model, fitted again; or that the rows, which are there, cannot be read or learned from any more."""
    from deltalake.exceptions import DeltaError
    from pyarrow import ArrowException

    try:
        built = fit_candidate(plan, build_model, params=was.params)
    except (ArrowException, DeltaError, ModelError) as exc:
        return ReproductionDifference("data", f"nothing can be fitted again: {type(exc).__name__}: {exc}")
    assert isinstance(built, FittedCandidate)  # there is no early gate where parameters are given
    return built


def _data_differences(was: RecordedTraining, lake: Lake) -> Iterator[ReproductionDifference]:
    """Partitions whose content is not what it was, read from the files of the recorded table versions.

    :raises MissingInput: a version or a file is gone
    """
    if config_hash(was.pinned.by_name()) != was.data:
        yield ReproductionDifference(
            "data", "the recorded lineage is not what the version says it was made from: it was edited"
        )
    for name, version in sorted(was.pinned.versions.items()):
        dataset = lake.dataset(was.spec.pipeline, name)
        snapshot = _recorded_snapshot(dataset, name, version)
        for key, digest in was.pinned.digests[name].items():
            if "@" in key:  # what a corrected partition was before: another version of the table
                continue
            state = snapshot.partitions.get(key)
            snapshot.arrow([key])  # sees that its files are there
            now = _content_digest(dataset.uri, state, digest)
            if now != digest:
                yield ReproductionDifference(
                    "data", f"dataset {name}, partition {key}: its digest was {digest} and is {now}"
                )


def _recorded_snapshot(dataset: Any, name: str, version: int) -> Any:
    from deltalake.exceptions import DeltaError

    try:
        found = dataset.snapshot(version)
    except (DeltaError, OSError) as exc:
        raise MissingInput(f"dataset {name} has no version {version} any more: {exc}") from exc
    if found is None:
        raise MissingInput(f"dataset {name} is gone: there is no table at {dataset.uri}")
    return found


def _content_digest(uri: str, state: Any, digest: str) -> str:
    """Digest of a partition's files as they are; of an object store, what the table says of them."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    if "://" in uri or digest.partition(".")[0] != digests.FORMAT:
        return str(state.digest)
    paths = [storage.local_path(uri) / file for file in sorted(state.files)]
    try:
        return digests.hash_files(paths, pq.read_schema(paths[0])).digest if paths else str(state.digest)
    except (ArrowException, OSError) as exc:
        return f"not to be read ({exc})"


def _code_differences(was: RecordedTraining, code: ProjectCode) -> Iterator[ReproductionDifference]:
    if (now := code.digest()) != was.code:
        text = f"the project's code among the version's files has the digest {now[:12]}, trained was {was.code[:12]}"
        yield ReproductionDifference("code", f"{text}: somebody edited them")


def _configuration_differences(
    was: RecordedTraining, config: str, borrowed: str | None
) -> Iterator[ReproductionDifference]:
    if config == was.config:
        return
    if borrowed is not None:
        text = f"{borrowed} was not logged with the version (it lies beside its package), and today's says other things"
        yield ReproductionDifference("configuration", text)
    else:
        text = "YAML and feature definitions make another configuration with this release of Tradewind than they did"
        yield ReproductionDifference("configuration", text)


def _compare_models(
    version: RegisteredVersion,
    was: RecordedTraining,
    built: FittedCandidate,
    host: ModelHost,
    found: list[ReproductionDifference],
    libraries: Any,
) -> Reproduction:
    now = {name: float(one["value"]) for name, one in built.metrics.items()}
    rows = reproduction_comparison.compare_test_rows(was.rows, evidence.select_test_rows(was.spec, built.test))
    parts = [rows, reproduction_comparison.compare_metrics(was.metrics, now)]
    if not rows.differences:
        answers = host.predict(was.rows)
        parts.append(
            reproduction_comparison.compare_predictions(answers, built.output, classes=(host.classes, built.classes))
        )
    if dict(built.majority) != dict(was.majority):
        found.append(
            ReproductionDifference("data", f"labels learned from: {was.majority} then, {dict(built.majority)} now")
        )
    found += [difference for part in parts for difference in part.differences]
    if found and libraries:
        found += [ReproductionDifference("libraries", text) for text in libraries]
    exact = all(part.exact for part in parts)
    outcome: ReproductionOutcome = "different" if found else "identical" if exact else "equal within tolerance"
    return Reproduction(
        was.spec.pipeline, version.version, was.partition, outcome, _outcome_reason(outcome, found, was, len(now)),
        differences=tuple(found),
        notes=() if found else tuple(libraries),
        rows=was.rows.num_rows,
        metrics={
            name: (_value_or_none(was.metrics.get(name)), _value_or_none(now.get(name)))
            for name in {*was.metrics, *now}
        },
    )  # fmt: skip


def _outcome_reason(
    outcome: ReproductionOutcome, found: list[ReproductionDifference], was: RecordedTraining, metrics: int
) -> str:
    if found:
        return _describe_differences(found)
    same = "are the same" if outcome == "identical" else f"differ by no more than {TOLERANCE:g}"
    return f"data and code are the same; {metrics} metrics and the predictions of {was.rows.num_rows} test rows {same}"


def _describe_differences(found: list[ReproductionDifference]) -> str:
    return "; ".join(f"{one.about}: {one.text}" for one in found)


def _value_or_none(value: float | None) -> float | None:
    return value if value is not None and value == value else None


def _journal_reproduction(result: Reproduction, runtime: Runtime, ledger: Ledger) -> None:
    earlier = ledger.find(result.pipeline, "reproduced", subject=result.version)
    facts = {name: value for name, value in asdict(result).items() if name not in ("pipeline", "reason")}
    entry = Entry(
        result.pipeline, "reproduced", result.version, result.partition or None, f"{result.version}/{len(earlier)}",
        outcome=result.outcome, reason=result.reason, evidence=facts, actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    ledger.append(entry)

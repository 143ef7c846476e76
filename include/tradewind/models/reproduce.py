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

from tradewind.errors import MissingInput, ModelError, SpecError, UsageError
from tradewind.lake import digests, storage
from tradewind.lake.dataset import Lake
from tradewind.ledger.journal import Entry, Ledger
from tradewind.models import archive, comparison, evidence, recorded
from tradewind.models.build import Built, build, configuration
from tradewind.models.code import imported
from tradewind.models.comparison import TOLERANCE, Difference
from tradewind.models.opening import open_model
from tradewind.models.recorded import Recorded
from tradewind.models.registry import Registry
from tradewind.spec.digest import config_hash

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.models.build import Plan
    from tradewind.models.code import ProjectCode
    from tradewind.models.host import ModelHost
    from tradewind.models.registry import Version
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)

Outcome = Literal["identical", "equal within tolerance", "different", "impossible"]


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
    outcome: Outcome
    reason: str
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    rows: int = 0
    metrics: dict[str, tuple[float | None, float | None]] | None = None
    tolerance: float = TOLERANCE


def reproduce(spec: Pipeline, version: str | None, runtime: Runtime) -> Reproduction:
    """Train a version again from what was recorded of it, compare, and journal what came of it.

    :param spec: today's YAML of its pipeline
    :param version: None for the champion
    :raises UsageError: there is no such version, or no champion
    :raises Unavailable: MLflow or the lake does not answer
    """
    ledger = Ledger(runtime.ledger)
    found = _version(spec, version, runtime, ledger)
    partition = found.tags.get("tradewind.partition", "")
    try:
        _require_rows(spec, ledger, found)
        result = _reproduce(spec, found, runtime, ledger)
    except (MissingInput, ModelError, SpecError) as exc:
        result = Reproduction(spec.pipeline, found.version, partition, "impossible", str(exc))
    _journal(result, runtime, ledger)
    log.info("%s: %s: %s", found, result.outcome, result.reason)
    return result


def _version(spec: Pipeline, version: str | None, runtime: Runtime, ledger: Ledger) -> Version:
    if version is None:
        changes = ledger.champions(spec.pipeline)
        if not changes:
            raise UsageError(f"{spec.pipeline} has no champion yet; name a version: {spec.pipeline}/VERSION")
        version = changes[-1].model_version
    known = archive.versions(spec.model_name, runtime)
    if version not in known:
        there = f"there are {', '.join(known)}" if known else "there is none"
        told = f"the model registry has no version {version} of {spec.pipeline}; {there}"
        if ledger.find(spec.pipeline, "trained", subject=version):
            raise MissingInput(f"{told}, although the ledger knows its training: restore the registry")
        raise UsageError(told)
    return Registry(runtime, spec.model_name).get(version)


def _require_rows(spec: Pipeline, ledger: Ledger, version: Version) -> None:
    if erased := ledger.find(spec.pipeline, "erased", subject=version.version):
        raise MissingInput(f"{version}: {erased[-1].reason} (by {erased[-1].actor})")


def _reproduce(spec: Pipeline, version: Version, runtime: Runtime, ledger: Ledger) -> Reproduction:
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tradewind-reproduce-")))
        registry = Registry(runtime, spec.model_name)
        opened = stack.enter_context(open_model(spec, version, runtime, ledger, warm=False))
        was = recorded.read(spec, version, stack.enter_context(registry.evidence(version)))
        code, borrowed = recorded.lay_out(was, opened.folder, scratch / "project", runtime.project)
        own = recorded.own_runtime(runtime, scratch)
        found = [*_data(was, runtime), *_code(was, code)]
        with imported(code) as build_model:
            config = configuration(was.spec, was.window, own)
            found += _configuration(was, config, borrowed)
            plan = was.plan(code, config)
            built = _built(plan, own, build_model, was)
            if isinstance(built, Difference):
                found.append(built)
                return Reproduction(
                    spec.pipeline, version.version, was.partition, "different", _words(found), tuple(found)
                )
            libraries = evidence.environment(plan, built)
        now = {"Python": platform.python_version(), **libraries["libraries"]}
        return _compared(version, was, built, opened.host, found, recorded.libraries_that_differ(was.libraries, now))


def _built(plan: Plan, runtime: Runtime, build_model: Any, was: Recorded) -> Built | Difference:
    """The model, fitted again; or that the rows, which are there, cannot be read or learned from any more."""
    from deltalake.exceptions import DeltaError
    from pyarrow import ArrowException

    try:
        built = build(plan, runtime, build_model, params=was.params)
    except (ArrowException, DeltaError, ModelError) as exc:
        return Difference("data", f"nothing can be fitted again: {type(exc).__name__}: {exc}")
    assert isinstance(built, Built)  # there is no early gate where parameters are given
    return built


def _data(was: Recorded, runtime: Runtime) -> Iterator[Difference]:
    """Partitions whose content is not what it was, read from the files of the recorded table versions.

    :raises MissingInput: a version or a file is gone
    """
    if config_hash(was.pinned.by_name()) != was.data:
        yield Difference("data", "the recorded lineage is not what the version says it was made from: it was edited")
    lake = Lake(runtime.lake, storage_options=runtime.storage_options)
    for name, version in sorted(was.pinned.versions.items()):
        dataset = lake.dataset(was.spec.pipeline, name)
        snapshot = _snapshot(dataset, name, version)
        for key, digest in was.pinned.digests[name].items():
            if "@" in key:  # what a corrected partition was before: another version of the table
                continue
            state = snapshot.partitions.get(key)
            snapshot.arrow([key])  # sees that its files are there
            now = _content(dataset.uri, state, digest)
            if now != digest:
                yield Difference("data", f"dataset {name}, partition {key}: its digest was {digest} and is {now}")


def _snapshot(dataset: Any, name: str, version: int) -> Any:
    from deltalake.exceptions import DeltaError

    try:
        found = dataset.snapshot(version)
    except (DeltaError, OSError) as exc:
        raise MissingInput(f"dataset {name} has no version {version} any more: {exc}") from exc
    if found is None:
        raise MissingInput(f"dataset {name} is gone: there is no table at {dataset.uri}")
    return found


def _content(uri: str, state: Any, digest: str) -> str:
    """Digest of a partition's files as they are; of an object store, what the table says of them."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    if "://" in uri or digest.partition(".")[0] != digests.FORMAT:
        return str(state.digest)
    paths = [storage.local(uri) / file for file in sorted(state.files)]
    try:
        return digests.of_files(paths, pq.read_schema(paths[0])).digest if paths else str(state.digest)
    except (ArrowException, OSError) as exc:
        return f"not to be read ({exc})"


def _code(was: Recorded, code: ProjectCode) -> Iterator[Difference]:
    if (now := code.digest()) != was.code:
        told = f"the project's code among the version's files has the digest {now[:12]}, trained was {was.code[:12]}"
        yield Difference("code", f"{told}: somebody edited them")


def _configuration(was: Recorded, config: str, borrowed: str | None) -> Iterator[Difference]:
    if config == was.config:
        return
    if borrowed is not None:
        told = f"{borrowed} was not logged with the version (it lies beside its package), and today's says other things"
        yield Difference("configuration", told)
    else:
        told = "YAML and feature definitions make another configuration with this release of Tradewind than they did"
        yield Difference("configuration", told)


def _compared(
    version: Version, was: Recorded, built: Built, host: ModelHost, found: list[Difference], libraries: Any
) -> Reproduction:
    now = {name: float(one["value"]) for name, one in built.metrics.items()}
    rows = comparison.rows(was.rows, evidence.test_rows(was.spec, built.test))
    parts = [rows, comparison.metrics(was.metrics, now)]
    if not rows.differences:
        answers = host.predict(was.rows)
        parts.append(comparison.predictions(answers, built.output, classes=(host.classes, built.classes)))
    if dict(built.majority) != dict(was.majority):
        found.append(Difference("data", f"labels learned from: {was.majority} then, {dict(built.majority)} now"))
    found += [difference for part in parts for difference in part.differences]
    if found and libraries:
        found += [Difference("libraries", text) for text in libraries]
    exact = all(part.exact for part in parts)
    outcome: Outcome = "different" if found else "identical" if exact else "equal within tolerance"
    return Reproduction(
        was.spec.pipeline, version.version, was.partition, outcome, _reason(outcome, found, was, len(now)),
        differences=tuple(found),
        notes=() if found else tuple(libraries),
        rows=was.rows.num_rows,
        metrics={name: (_finite(was.metrics.get(name)), _finite(now.get(name))) for name in {*was.metrics, *now}},
    )  # fmt: skip


def _reason(outcome: Outcome, found: list[Difference], was: Recorded, metrics: int) -> str:
    if found:
        return _words(found)
    same = "are the same" if outcome == "identical" else f"differ by no more than {TOLERANCE:g}"
    return f"data and code are the same; {metrics} metrics and the predictions of {was.rows.num_rows} test rows {same}"


def _words(found: list[Difference]) -> str:
    return "; ".join(f"{one.about}: {one.text}" for one in found)


def _finite(value: float | None) -> float | None:
    return value if value is not None and value == value else None


def _journal(result: Reproduction, runtime: Runtime, ledger: Ledger) -> None:
    earlier = ledger.find(result.pipeline, "reproduced", subject=result.version)
    told = {name: value for name, value in asdict(result).items() if name not in ("pipeline", "reason")}
    entry = Entry(
        result.pipeline, "reproduced", result.version, result.partition or None, f"{result.version}/{len(earlier)}",
        outcome=result.outcome, reason=result.reason, evidence=told, actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip
    ledger.append(entry)

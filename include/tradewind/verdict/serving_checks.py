"""What serving demands of a candidate, measured on the registry's files: loads, schema, latency, size, stability.

The candidate runs in a clean interpreter that was started for it, never in a fork of a process that has libraries in
memory already. Each check is made once, however many gates name it; what cannot be measured has no value, which is
no pass.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core.gate_results import Measurement
from tradewind.core.latency import LatencyResult, measure_latency
from tradewind.errors import ModelError, TradewindError
from tradewind.spec.check_gate import CheckGate
from tradewind.spec.gates import gates_of_kind
from tradewind.training import model_signature

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from tradewind.isolation.model_client import ModelHost
    from tradewind.spec.gate_kind import Gate
    from tradewind.training.model_signature import Columns

LIMIT = 300.0
"""Seconds after which a process that loads a candidate is killed, where no gate allows more."""

BATCHES = 20
"""So many different batches of test rows `latency` predicts at most."""

TRIES = 5
"""So often each of them in one round at most."""

_SECONDS = 3.0
_SHAKEN_ROWS = 10_000
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class RunningCandidate:
    """A candidate in a clean process, and what it is held against.

    :param host: its process; not warm
    :param folder: a copy of its files, which are those that were logged
    :param rows: the test rows
    :param example: rows that were predicted when it was logged, and what was predicted then; None if they were not kept
    :param spread: standard deviation of the test rows' labels; None where they are classes
    :param seed: of the noise of `stability`
    """

    host: ModelHost
    folder: Path
    rows: pa.Table
    example: tuple[pa.Table, npt.NDArray[Any]] | None
    spread: float | None
    seed: int


def gates_with_defaults(gates: Sequence[Gate], *, rows: int) -> tuple[Gate, ...]:
    """The gates, and behind them those checks that are made of every candidate and that none of them names.

    :param rows: how many test rows there are
    """
    named = {gate.check for _, gate in gates_of_kind(gates, CheckGate)}
    always = (CheckGate(check="loads", at_most=LIMIT, rows=max(1, min(100, rows))), CheckGate(check="schema"))
    return (*gates, *(gate for gate in always if gate.check not in named))


def answer_timeout(gates: Sequence[Gate]) -> float:
    """Seconds that the candidate's process may take for one answer."""
    return max([LIMIT, *(gate.at_most or 0 for _, gate in gates_of_kind(gates, CheckGate) if gate.check == "loads")])


def measure_loading(running: RunningCandidate, gates: Sequence[Gate]) -> Mapping[int, float]:
    """Wait until the candidate is loaded and has predicted, and say how long after its start: by number of rows.

    :raises ModelError: it cannot be loaded, or fails at the rows
    """
    counts = {gate.rows for _, gate in gates_of_kind(gates, CheckGate) if gate.check == "loads"}
    loaded = (
        running.host.loaded_at - running.host.started_at
    )  # by its own clock: the caller may not have listened at once
    seconds = {}
    for count in sorted(counts):
        begun = time.monotonic()
        running.host.predict(running.rows.slice(0, count))
        seconds[count] = loaded + time.monotonic() - begun
    return seconds


def measure_serving(
    gates: Sequence[Gate], *,
    running: RunningCandidate | ModelError, loaded: Mapping[int, float] | ModelError, wanted: Columns | TradewindError,
) -> dict[int, Measurement]:  # fmt: skip
    """What each check found, by the position of its gate.

    :param running: or why the candidate's files were not opened: then every check fails
    :param loaded: what :func:`measure_loading` returned, or raised
    :param wanted: what :func:`model_signature.expected_input_columns` returned
    """
    if isinstance(running, ModelError):
        refused = Measurement(None, 0, f"the candidate was not loaded: {running}", passed=False)
        return {place: refused for place, _ in gates_of_kind(gates, CheckGate)}
    checks: Mapping[str, Callable[[CheckGate], Measurement]] = {
        "schema": lambda _: _measure_schema(running, wanted),
        "size": lambda _: _measure_size(running),
        "loads": lambda gate: _measure_loads(gate, running, loaded),
        "latency": lambda gate: _measure_latency(gate, running, limit=_strictest_latency(gates, gate)),
        "stability": lambda gate: _measure_stability(gate, running),
    }
    found: dict[CheckGate, Measurement] = {}
    measurements = {}
    for place, gate in gates_of_kind(gates, CheckGate):
        same = gate.model_copy(update={"at_most": None})
        if same not in found:
            found[same] = _measure_check(same, checks[gate.check], running=running, loaded=loaded)
        measurements[place] = found[same]
    return measurements


def _measure_check(
    gate: CheckGate, check: Callable[[CheckGate], Measurement], *,
    running: RunningCandidate, loaded: Mapping[int, float] | ModelError,
) -> Measurement:  # fmt: skip
    if isinstance(loaded, ModelError) and gate.check in ("loads", "latency", "stability"):
        return Measurement(None, 0, f"the candidate does not run: {loaded}", passed=False)
    count = running.rows.num_rows
    if gate.check in ("loads", "latency") and count < gate.rows:
        return Measurement(None, count, f"there are {count} test rows, fewer than {gate.rows}")
    try:
        return check(gate)
    except TradewindError as exc:
        return Measurement(None, 0, str(exc))


def _measure_loads(gate: CheckGate, running: RunningCandidate, loaded: Mapping[int, float] | ModelError) -> Measurement:
    assert not isinstance(loaded, ModelError)
    seconds = loaded[gate.rows]
    if running.example is not None and (wrong := _describe_changed_example(running)):
        reason = f"what is in the registry is not what was trained: {wrong}"
        return Measurement(seconds, gate.rows, reason, passed=False)
    how = f"a clean process loaded the registry's files and predicted {gate.rows} rows in {seconds:.1f} s"
    if running.example is None:
        return Measurement(seconds, gate.rows, f"{how}; training kept no predictions to compare with", passed=True)
    same = f"its predictions of {running.example[0].num_rows} example rows are those of training"
    return Measurement(seconds, gate.rows, f"{how}; {same}", passed=True)


def _describe_changed_example(running: RunningCandidate) -> str:
    """How the example is predicted now, where that is not as it was when it was logged."""
    import numpy as np

    assert running.example is not None
    rows, then = running.example
    now = running.host.predict(rows)
    if now.shape != then.shape:
        return f"it predicts {now.shape[1]} numbers a row, and {then.shape[1]} when it was logged"
    if np.allclose(now, then, rtol=_SAME, atol=_SAME):
        return ""
    off = np.abs(now - then).max(axis=1)
    worst = int(off.argmax())
    return (
        f"{(off > _SAME).sum()} of {len(off)} example rows are predicted otherwise than when it was logged, by up to "
        f"{off[worst]:.6g} (row {worst}: {now[worst].tolist()}, then {then[worst].tolist()})"
    )


def _measure_schema(running: RunningCandidate, wanted: Columns | TradewindError) -> Measurement:
    """The columns of the model's signature beside those that a population has now."""
    if isinstance(wanted, TradewindError):
        return Measurement(None, 0, f"what the model would get now cannot be told: {wanted}")
    has = model_signature.logged_input_columns(running.folder)
    if has == wanted:
        reason = f"its {len(wanted)} columns are those of `train.columns` and the feature service"
        return Measurement(0.0, 0, reason, passed=True)
    names, known, kinds = [name for name, _ in has], [name for name, _ in wanted], dict(wanted)
    wrong = [f"it wants {name}, which is gone" for name in names if name not in known]
    wrong += [f"it does not know {name}" for name in known if name not in names]
    wrong += [f"{name} is {kinds[name]}, and was {kind}" for name, kind in has if kinds.get(name, kind) != kind]
    wrong = wrong or [f"the order is {', '.join(known)}, and was {', '.join(names)}"]
    return Measurement(float(len(wrong)), 0, f"there are {len(wanted)} columns now: {'; '.join(wrong)}", passed=False)


def _measure_size(running: RunningCandidate) -> Measurement:
    files = [path for path in running.folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return Measurement(size / 1e6, 0, f"{size:,} bytes in {len(files)} files, its code among them")


def _strictest_latency(gates: Sequence[Gate], gate: CheckGate) -> float:
    """Seconds that the strictest of the gates that ask for the same latency allows."""
    checks = (one for _, one in gates_of_kind(gates, CheckGate))
    same = [one for one in checks if (one.check, one.rows) == (gate.check, gate.rows)]
    return min(one.at_most or math.inf for one in same) / 1000


def _measure_latency(gate: CheckGate, running: RunningCandidate, *, limit: float) -> Measurement:
    import pyarrow as pa

    rows, size = running.rows, gate.rows
    count = min(BATCHES, rows.num_rows // size)
    starts = [position * (rows.num_rows - size) // max(1, count - 1) for position in range(count)]
    batches = pa.concat_tables([rows.slice(start, size) for start in starts])
    found = measure_latency(
        lambda: running.host.latency(batches, batch=size, tries=TRIES, seconds=_SECONDS), limit=limit
    )  # fmt: skip
    return Measurement(1000 * found.value, size, _describe_latency(found, size))


def _describe_latency(found: LatencyResult, size: int) -> str:
    what = f"{found.batches} batch{'es' if found.batches > 1 else ''} of {size} row{'s' if size > 1 else ''}"
    how = f"95th percentile over {what}, each at the fastest of {found.tries} tries in a warmed process"
    median, busy = 1000 * found.median, 1000 * found.busy
    how += f"; of all tries the median is {median:.2f} ms and the 95th percentile {busy:.2f} ms"
    if len(found.rounds) > 1:
        said = ", ".join(f"{1000 * value:.4g}" for value in found.rounds)
        how += f"; measured {len(found.rounds)} times because it missed: {said} ms"
    return how


def _measure_stability(gate: CheckGate, running: RunningCandidate) -> Measurement:
    """Mean over rows of the change: half the sum of absolute changes of probabilities (for two classes the change of
    one of them; else the total variation distance), or the absolute change in standard deviations of the label.
    """
    import numpy as np

    count = running.rows.num_rows
    rows = running.rows.take(np.unique(np.linspace(0, count - 1, min(count, _SHAKEN_ROWS)).astype(int)))
    rows = rows.select(running.host.columns)
    noisy, shaken = _add_noise(rows, gate.noise, running.seed)
    if not shaken:
        return Measurement(None, 0, "the model has no numeric column that varies, so nothing can be shaken")
    moved = np.abs(running.host.predict(noisy) - running.host.predict(rows)).sum(axis=1)
    how = f"{shaken} numeric columns shaken by {gate.noise:g} of their standard deviation on {rows.num_rows} rows"
    if running.host.classes is not None:
        return Measurement(float(moved.mean() / 2), rows.num_rows, f"{how}; mean change of probability")
    if not running.spread:
        return Measurement(None, 0, "the label has one value in all test rows, so there is nothing to measure in")
    value = float(moved.mean() / running.spread)
    return Measurement(value, rows.num_rows, f"{how}; mean change in standard deviations of the label")


def _add_noise(rows: pa.Table, noise: float, seed: int) -> tuple[pa.Table, int]:
    """The rows with gaussian noise on numbers, and on how many columns; what is missing stays missing."""
    import numpy as np
    import pyarrow as pa

    shaken = 0
    for place, field in enumerate(rows.schema):
        if not pa.types.is_floating(field.type):
            continue
        values = rows[field.name].to_numpy()
        finite = np.isfinite(values)
        deviation = float(values[finite].std()) if finite.any() else 0.0
        if deviation > 0:
            shaken += 1
            drawn = np.random.default_rng([seed, place]).normal(0.0, noise * deviation, len(values))
            column = pa.array(values + drawn, field.type, from_pandas=True)
            rows = rows.set_column(place, field, column)
    return rows, shaken

"""Whether the model that serves, and the newest one, are what a training would make now; what the policy does next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tradewind.alerting.incidents import open_incidents
from tradewind.core import retraining
from tradewind.errors import TradewindError
from tradewind.ledger import shadows
from tradewind.planning.plan_item import PlanItem, Reason

if TYPE_CHECKING:
    from tradewind.core.retraining import PolicyOutlook
    from tradewind.deployment import Deployment
    from tradewind.ledger.journal import Entry, Ledger
    from tradewind.spec.pipeline import Pipeline

WANTED = ("train", "judge")
"""Decisions after which a run of ``train`` does more than to decide."""

_TEXTS = {
    "code": "its code has changed since",
    "features": "its features have changed since",
    "parameters": "its parameters have changed since",
    "label": "its label has changed since",
    "datasets": "data that it was trained on was corrected since",
    "configuration": "its configuration has changed since",
    "upgrade": "Tradewind was upgraded and trains in another way",
}
_KINDS = {
    "feature definitions": "features",
    "train.service": "features",
    "train.columns": "features",
    "train.params": "parameters",
    "train.search": "parameters",
    "train.early": "parameters",
    "train.seed": "parameters",
    "train.label": "label",
    "train.model": "code",
    "Tradewind": "upgrade",
}


@dataclass(frozen=True, slots=True)
class ComparedVersion:
    """A version beside what a training at its partition would make now.

    :param roles: ``serves``, ``newest training``
    :param changes: what has changed since it was trained; empty if nothing has
    :param unknown: why it could not be compared; None if it could
    """

    version: str
    partition: str
    roles: tuple[str, ...]
    changes: tuple[Reason, ...]
    unknown: str | None = None

    @property
    def name(self) -> str:
        """The version and what it is, in words."""
        return f"version {self.version} ({', '.join(self.roles)})"


@dataclass(frozen=True, slots=True)
class FailedTraining:
    """The newest training that was wanted, if it failed.

    :param wanted: why it was wanted
    :param reason: why it failed
    """

    partition: str
    wanted: str
    reason: str
    run_id: str


@dataclass(frozen=True, slots=True)
class TrainingStatus:
    """How training stands.

    :param waiting: reasons of the newest decision for a training that lacks only its window
    :param next: what the policy does for the partitions that come, in words
    :param not_before: first partition at which cooldown and budget let it train; None where no partition comes
    :param at_latest: partition at which it trains whatever is judged until then; None for none
    """

    versions: tuple[ComparedVersion, ...]
    failed: FailedTraining | None
    waiting: tuple[str, ...]
    next: str
    not_before: str | None
    at_latest: str | None


def examine_training(deployment: Deployment) -> TrainingStatus | None:
    """Compare the version that serves and the newest one with what would be trained now; None without `train`.

    Nothing is trained, and MLflow is not asked: what a version was made from is in the ledger.
    """
    spec, ledger = deployment.spec, deployment.ledger
    if spec.train is None:
        return None
    decisions = _newest_by_partition(ledger.find(spec.pipeline, "decision", subject="train"))
    newest = decisions[max(decisions)] if decisions else None
    waiting = tuple(str(reason) for reason in (newest.evidence.get("waiting") or ())) if newest else ()
    words, not_before, at_latest = _next_training(spec, ledger, decisions)
    return TrainingStatus(
        tuple(_compare_versions(deployment)),
        _find_failed_training(spec, ledger, decisions),
        waiting,
        words,
        not_before,
        at_latest,
    )


def add_training_status(items: Sequence[PlanItem], training: TrainingStatus) -> list[PlanItem]:
    """The items of a plan, with what is known of trainings at the partitions where they took place."""
    return [_with_training_status(item, training) if item.stage == "train" else item for item in items]


def _with_training_status(item: PlanItem, training: TrainingStatus) -> PlanItem:
    if training.failed is not None and training.failed.partition == item.partition:
        failed = training.failed
        text = f"a training was wanted ({failed.wanted}), and its run failed: {failed.reason}"
        state = "failed" if item.state in ("current", "possibly stale") else item.state
        return replace(item, state=state, why=(*item.why, Reason("failed", text, (failed.run_id,))))
    for one in training.versions:
        if one.partition != item.partition:
            continue
        if one.unknown is not None:
            return replace(item, why=(*item.why, Reason("note", f"{one.name} is not compared: {one.unknown}")))
        if one.changes:
            named = tuple(replace(why, text=f"{one.name}: {why.text}") for why in one.changes)
            state = "outdated" if item.state == "current" else item.state
            return replace(item, state=state, why=(*item.why, *named))
    return item


def _compare_versions(deployment: Deployment) -> list[ComparedVersion]:
    spec, ledger = deployment.spec, deployment.ledger
    trained = {entry.subject: entry for entry in ledger.find(spec.pipeline, "trained")}
    champions = ledger.champions(spec.pipeline)
    roles: dict[str, list[str]] = {}
    if champions:
        roles.setdefault(champions[-1].model_version, []).append("serves")
    if trained:
        newest = max(trained.values(), key=lambda entry: (entry.partition or "", entry.id or 0))
        roles.setdefault(newest.subject, []).append("newest training")
    found = []
    for version, named in roles.items():
        if version in trained:
            # What a refit was made from is what its judged version was.
            source = trained.get(str(trained[version].evidence.get("refit_of")), trained[version])
            compared = replace(_compare_version(deployment, source, tuple(named)), version=version)
            if compared.changes and (again := _unchanged(spec, ledger, trained, source, champion=version)) is not None:
                now = _compare_version(deployment, again, tuple(named))
                compared = compared if now.changes or now.unknown else replace(compared, changes=())
            found.append(compared)
    return found


def _unchanged(
    spec: Pipeline, ledger: Ledger, trained: Mapping[str, Entry], source: Entry, *, champion: str
) -> Entry | None:
    """The training that was made again at the same partition and found to give what the champion predicts."""
    verdicts = ledger.find(spec.pipeline, "verdict", partition=source.partition)
    if not verdicts or (verdicts[-1].outcome, verdicts[-1].evidence.get("champion")) != ("unchanged", champion):
        return None
    return trained.get(verdicts[-1].subject)


def _compare_version(deployment: Deployment, entry: Entry, roles: tuple[str, ...]) -> ComparedVersion:
    from tradewind.training.fitting import plan_training

    partition = str(entry.partition)
    try:
        now = plan_training(deployment, partition)
    except TradewindError as exc:
        return ComparedVersion(entry.subject, partition, roles, (), unknown=str(exc))
    if entry.key.partition("/")[0] == now.cause:
        return ComparedVersion(entry.subject, partition, roles, ())
    before = entry.evidence.get("made_from")
    data = _data_changes(entry.evidence.get("digests", {}), now.pinned.digests)
    changes = [*_configuration_changes(before, now.made_from), *data]
    if not changes:
        changed = "its code, features or configuration have changed since"
        upgraded = (
            "or Tradewind was upgraded and trains in another way: the release that trained it did not record which"
        )
        changes = [Reason("configuration", changed if before is not None else f"{changed}, {upgraded}")]
    return ComparedVersion(entry.subject, partition, roles, tuple(changes))


def _configuration_changes(before: Mapping[str, str] | None, now: Mapping[str, str]) -> list[Reason]:
    """The parts that differ, by kind; nothing where an older Tradewind did not write them down."""
    if before is None:
        return []
    found: dict[str, list[str]] = {}
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            kind = _KINDS.get(name, "code" if name.endswith(".py") else "configuration")
            found.setdefault(kind, []).append(name)
    return [Reason(kind, text, tuple(found[kind])) for kind, text in _TEXTS.items() if kind in found]


def _data_changes(before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> list[Reason]:
    """Partitions of the window that hold something else; what a longer window adds is configuration."""
    changed = [
        f"{name}/{key}"
        for name, digests in before.items()
        for key, digest in digests.items()
        if name in now and now[name].get(key) not in (digest, None)
    ]
    # What it was before a correction is pinned too, beside the partition itself.
    about = dict.fromkeys(name.partition("@")[0] for name in changed)
    return [Reason("datasets", _TEXTS["datasets"], tuple(about))] if about else []


def _find_failed_training(spec: Pipeline, ledger: Ledger, decisions: Mapping[str, Entry]) -> FailedTraining | None:
    wanted = [key for key, entry in decisions.items() if entry.outcome in WANTED]
    if not wanted:
        return None
    key = max(wanted)
    settled = ledger.find(spec.pipeline, "complete", subject="train", partition=key)
    if not settled or settled[-1].evidence.get("outcome") != "failed":
        return None
    messages = [
        one.message.splitlines()[0]
        for one in open_incidents(ledger, spec.pipeline)
        if one.stage == "train" and key in one.partitions and one.message
    ]
    run_id = settled[-1].run_id
    reason = messages[-1] if messages else f"see the log of run {run_id} of {spec.pipeline}__train"
    return FailedTraining(key, decisions[key].reason, reason, run_id)


def _next_training(
    spec: Pipeline, ledger: Ledger, decisions: Mapping[str, Entry]
) -> tuple[str, str | None, str | None]:
    slicing = spec.partitioning
    following = slicing.shift(max(decisions), 1) if decisions else spec.start
    if spec.end is not None and following >= spec.end:
        return f"no partition comes after {slicing.shift(following, -1)}: only by hand", None, None
    standing = shadows.standing_shadow(ledger, spec.pipeline)
    if standing is not None and spec.promotion.shadow:
        judged_at = standing.evidence["judged_at"]
        words = f"version {standing.subject} stands as shadow and is judged at {judged_at}; until then only by hand"
        return words, None, None
    trainings = [
        len(slicing.between(key, following)) - 1 for key, entry in decisions.items() if entry.outcome == "train"
    ]
    has_champion = bool(ledger.champions(spec.pipeline))
    found = retraining.policy_outlook(spec.retrain, has_champion=has_champion, trainings=sorted(trainings))
    free = slicing.shift(following, found.free_in) if found.free_in is not None else None
    due = slicing.shift(following, found.due_in) if found.due_in is not None else None
    return _describe_outlook(spec, found, free=free, due=due), free, due


def _describe_outlook(spec: Pipeline, found: PolicyOutlook, *, free: str | None, due: str | None) -> str:
    if free is None:
        return f"never by itself: {found.held}; only by hand"
    rules = [f"{name} in {rule}" for name, rule in found.rules.items()]
    said = [f"at the next partition with {' or '.join(rules)}, from {free} on"] if rules and free != due else []
    if due is not None:
        said.append(
            f"at {due} at the latest, because {found.due_because}" if said else f"at {due}, because {found.due_because}"
        )
    if not said:
        return "never by itself: `retrain.when` names no rule; only by hand"
    held = f" (until then {found.held})" if found.held else ""
    return "; ".join(said) + held


def _newest_by_partition(entries: Sequence[Entry]) -> dict[str, Any]:
    return {entry.partition: entry for entry in entries if entry.partition is not None}

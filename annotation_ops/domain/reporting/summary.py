"""One attempt as a report needs it: small enough that a project's attempts fit into memory side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from annotation_ops.domain.batches import WITH_LABELS
from annotation_ops.domain.project.criteria import Criteria
from annotation_ops.domain.quality.planning.adaptive_overlap import Savings
from annotation_ops.domain.quality.statistic import Statistic, undefined
from annotation_ops.domain.records import Annotation, Attempt, Batch, JsonObject, VerdictRecord
from annotation_ops.domain.reporting.tallies import Tallies


@dataclass(frozen=True, slots=True)
class Effort:
    """What one annotator put into one attempt."""

    judgements: int
    seconds: tuple[float, ...]
    """Lead times of the judgements that have one."""


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    batch: Batch
    attempt: Attempt
    verdicts: tuple[VerdictRecord, ...]
    """Of this attempt, oldest first."""
    in_force: VerdictRecord | None
    criteria: Criteria | None
    """Those the verdict in force was judged by; None when there is no verdict or their text is not stored."""
    n_tasks: int
    accepted_labels: int
    efforts: Mapping[str, Effort]
    """By annotator."""
    tallies: Tallies
    label_counts: Mapping[str, int]
    """Tasks by consensus label."""
    newest: datetime
    """Time of the newest record of the attempt."""
    savings: Savings | None = None
    """Against the overlap of the batch on every answered task; None while people still work on it, and for checks."""

    @property
    def key(self) -> str:
        return self.attempt.key

    @property
    def rejected(self) -> bool:
        return self.in_force is not None and self.in_force.outcome == "FAIL"

    @property
    def accepted(self) -> bool:
        return self.in_force is not None and self.in_force.outcome == "PASS"

    @property
    def with_labels(self) -> bool:
        """False for audits and calibrations, which cost judgements and bring no labels."""
        return self.batch.purpose in WITH_LABELS

    @property
    def judgements(self) -> int:
        return sum(effort.judgements for effort in self.efforts.values())


def summarise(
    batch: Batch,
    attempt: Attempt,
    *,
    annotations: Sequence[Annotation],
    tallies: Tallies,
    verdicts: Sequence[VerdictRecord],
    in_force: VerdictRecord | None,
    criteria: Criteria | None,
    label_counts: Mapping[str, int],
    n_tasks: int,
    accepted_labels: int,
    committed_at: datetime | None = None,
    savings: Savings | None = None,
) -> AttemptSummary:
    """`tallies` are of the judgements that agreement may rest on; effort counts them all."""
    return AttemptSummary(
        batch=batch,
        attempt=attempt,
        verdicts=tuple(verdicts),
        in_force=in_force,
        criteria=criteria,
        n_tasks=n_tasks,
        accepted_labels=accepted_labels,
        efforts=_efforts(annotations),
        tallies=tallies,
        label_counts=label_counts,
        newest=_newest(attempt, annotations, verdicts, committed_at),
        savings=savings,
    )


def statistic_from(document: JsonObject | None) -> Statistic:
    """A statistic of a stored document; what it lacks is undefined."""
    if not document or document.get("value") is None:
        found = document or {}
        return undefined(str(found.get("reason") or "not_recorded"), n=int(found.get("n") or 0))
    low, high = document.get("low"), document.get("high")
    return Statistic(
        float(document["value"]),
        None,
        None if low is None else float(low),
        None if high is None else float(high),
        int(document.get("n") or 0),
    )


def is_statistic(value: object) -> bool:
    """Whether a value of a stored document is a statistic."""
    return isinstance(value, dict) and {"value", "n"} <= value.keys()


def _efforts(annotations: Sequence[Annotation]) -> dict[str, Effort]:
    counts: dict[str, int] = {}
    seconds: dict[str, list[float]] = {}
    for annotation in annotations:
        who = annotation.annotator_id
        counts[who] = counts.get(who, 0) + 1
        if annotation.lead_time_seconds is not None:
            seconds.setdefault(who, []).append(annotation.lead_time_seconds)
    return {who: Effort(counts[who], tuple(seconds.get(who, ()))) for who in sorted(counts)}


def _newest(
    attempt: Attempt,
    annotations: Sequence[Annotation],
    verdicts: Sequence[VerdictRecord],
    committed_at: datetime | None,
) -> datetime:
    stamps = (attempt.dispatched_at, attempt.completed_at, attempt.judged_at, attempt.published_at, committed_at)
    return max(
        [
            attempt.planned_at,
            *(stamp for stamp in stamps if stamp is not None),
            *(annotation.collected_at for annotation in annotations),
            *(verdict.judged_at for verdict in verdicts),
        ]
    )

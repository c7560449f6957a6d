"""What a reader of one batch attempt is told: the verdict, its evidence, the people, the labels and the price."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from annotation_ops.domain.quality.planning.adaptive_overlap import Savings
from annotation_ops.domain.quality.statistic import Statistic
from annotation_ops.domain.records import SYSTEM_ACTOR, Annotation, JsonObject, Task, VerdictRecord
from annotation_ops.domain.reporting.cost import CostRow, added_savings, total_cost
from annotation_ops.domain.reporting.label_mix import LabelMix, label_mix
from annotation_ops.domain.reporting.people import HeatMap, PairMatrix, heat_map, pair_matrix
from annotation_ops.domain.reporting.summary import AttemptSummary, is_statistic, statistic_from
from annotation_ops.domain.reporting.tallies import Tallies
from annotation_ops.domain.reporting.trends import note_of

TASKS_SHOWN = 25
CONFUSIONS_SHOWN = 15

TOLD_ELSEWHERE = frozenset(
    {"verdict", "reasons", "criteria", "statistics", "probability", "prevalence_index", "bias_index", "paradox"}
    | {"classes", "annotators", "pairs", "tasks_below", "share_below", "confidence"}
    | {"task_type", "n_tasks", "n_overlap_tasks", "n_annotators", "n_judgements"}
)
"""Keys of the verdict document that have a place of their own; what else it holds is shown as it is."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One measured number against one line of the criteria."""

    name: str
    measured: Statistic
    line: float
    """The threshold, or the most that is allowed."""
    at_most: bool
    margin: float
    """Width of the zone of indifference below the threshold; 0 unless the mode is not_worse."""
    probability: float | None
    """Posterior probability of reaching the line."""


@dataclass(frozen=True, slots=True)
class VerdictRow:
    attempt: str
    outcome: str
    judged_at: datetime
    judged_by: str
    by_person: bool
    criteria: str
    note: str
    in_force: bool


@dataclass(frozen=True, slots=True)
class ClassRow:
    label: str
    agreement: Statistic
    n_judgements: int | None
    critical: bool
    outcome: str | None


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """Two labels that annotators do not tell apart."""

    labels: tuple[str, str]
    disputes: int
    """Pairs of judgements of one task that gave these two."""
    first_for_second: int
    """Judgements that gave the first where the consensus is the second."""
    second_for_first: int


@dataclass(frozen=True, slots=True)
class Confusions:
    rows: tuple[ConfusionRow, ...]
    """Most disputes first."""
    rows_left_out: int
    disputes: int


@dataclass(frozen=True, slots=True)
class TaskRow:
    task_id: str
    sample_id: str
    answers: tuple[tuple[str, int], ...]
    """(answer, judgements), most given first; empty when the answers are no labels."""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    key: str
    state: str
    outcome: str | None
    planned_at: datetime
    judged_at: datetime | None
    published_at: datetime | None
    judgements: int
    accepted_labels: int
    reason: str


@dataclass(frozen=True, slots=True)
class BatchReport:
    project: str
    key: str
    task_type: str
    as_of: datetime
    """Time of the newest record of the batch."""
    state: str
    state_reason: str
    purpose: str
    model_version: str | None
    incident_id: str | None
    n_tasks: int
    verdict: VerdictRow | None
    reasons: tuple[tuple[str, str], ...]
    """(code, sentence) of the judge."""
    mode: str | None
    """How its criteria decide: point, not_worse or evidence."""
    confidence: float | None
    evidence: tuple[Evidence, ...]
    statistics: tuple[tuple[str, Statistic], ...]
    indices: tuple[tuple[str, float], ...]
    """Prevalence and bias index, where they exist."""
    paradox: bool
    classes: tuple[ClassRow, ...]
    heat: HeatMap
    pairs: PairMatrix
    confusions: Confusions
    mix: LabelMix
    tasks_below: tuple[TaskRow, ...]
    tasks_below_left_out: int
    extras: tuple[tuple[str, object], ...]
    """What else the verdict document holds, by its key."""
    verdicts: tuple[VerdictRow, ...]
    """All of the batch, oldest first: overrides and what other criteria would have said too."""
    history: tuple[AttemptRow, ...]
    versions: tuple[tuple[str, str], ...]
    """(document, `version+hash12`) the batch was planned under."""
    cost: CostRow
    """Of all attempts of the batch."""
    savings: Savings | None
    """The same, against the fixed overlap; None while no attempt is answered."""


def batch_report(
    summary: AttemptSummary,
    *,
    attempts: Sequence[AttemptSummary],
    earlier: Sequence[AttemptSummary],
    tasks: Sequence[Task],
    annotations: Sequence[Annotation],
    task_type: str,
    labels: Sequence[str],
    price: float,
) -> BatchReport:
    """`attempts` are all of the batch, `earlier` the accepted ones of other batches that were judged before it;
    `tasks` and `annotations` are those of the reported attempt; `labels` are in taxonomy order."""
    document = summary.in_force.document if summary.in_force else {}
    criteria = summary.criteria
    below = [str(task) for task in document.get("tasks_below") or ()]
    expected = dict(criteria.label_mix.expected) if criteria and criteria.label_mix else {}
    versions = summary.batch.versions
    confidence = criteria.confidence if criteria else 0.95
    return BatchReport(
        project=summary.batch.project,
        key=summary.key,
        task_type=task_type,
        as_of=max(one.newest for one in attempts),
        state=summary.attempt.state.value,
        state_reason=summary.attempt.state_reason,
        purpose=summary.batch.purpose.value,
        model_version=summary.batch.model_version,
        incident_id=summary.batch.incident_id,
        n_tasks=summary.n_tasks,
        verdict=_verdict_row(summary, summary.in_force) if summary.in_force else None,
        reasons=tuple((str(r.get("code", "")), str(r.get("text", ""))) for r in document.get("reasons") or ()),
        mode=criteria.mode if criteria else None,
        confidence=criteria.confidence if criteria else None,
        evidence=_evidence(summary, document),
        statistics=tuple((name, statistic_from(row)) for name, row in (document.get("statistics") or {}).items()),
        indices=_indices(document),
        paradox=bool(document.get("paradox")),
        classes=tuple(_class_row(row) for row in document.get("classes") or ()),
        heat=heat_map(summary.tallies, labels=labels, confidence=confidence),
        pairs=pair_matrix(summary.tallies, confidence=confidence),
        confusions=confusions(summary.tallies),
        mix=label_mix(summary, labels=labels, expected=expected, earlier=earlier),
        tasks_below=_task_rows(below[:TASKS_SHOWN], tasks, annotations),
        tasks_below_left_out=max(0, len(below) - TASKS_SHOWN),
        extras=tuple((k, v) for k, v in document.items() if k not in TOLD_ELSEWHERE and v not in (None, {}, [])),
        verdicts=verdict_rows(attempts),
        history=tuple(_attempt_row(one) for one in attempts),
        versions=tuple((kind, getattr(versions, kind)) for kind in versions.__dataclass_fields__),
        cost=total_cost(attempts, name=summary.batch.batch_id, price=price),
        savings=added_savings(attempts),
    )


def confusions(tallies: Tallies) -> Confusions:
    """Pairs of labels by how often two people disagree about them."""
    disputes = tallies.by_dispute
    ranked = sorted(disputes, key=lambda pair: (-disputes[pair], pair))
    taken = tallies.by_confusion
    rows = tuple(
        ConfusionRow((a, b), disputes[a, b], taken.get((b, a), 0), taken.get((a, b), 0))
        for a, b in ranked[:CONFUSIONS_SHOWN]
    )
    return Confusions(rows, max(0, len(ranked) - CONFUSIONS_SHOWN), sum(disputes.values()))


def verdict_rows(attempts: Sequence[AttemptSummary]) -> tuple[VerdictRow, ...]:
    """Every verdict recorded on these attempts, oldest first."""
    rows = [_verdict_row(one, verdict) for one in attempts for verdict in one.verdicts]
    return tuple(sorted(rows, key=lambda row: (row.judged_at, row.attempt)))


def _verdict_row(summary: AttemptSummary, verdict: VerdictRecord) -> VerdictRow:
    return VerdictRow(
        attempt=summary.key,
        outcome=verdict.outcome,
        judged_at=verdict.judged_at,
        judged_by=verdict.judged_by,
        by_person=verdict.judged_by != SYSTEM_ACTOR,
        criteria=verdict.criteria,
        note=note_of(verdict),
        in_force=verdict is summary.in_force or verdict == summary.in_force,
    )


def _evidence(summary: AttemptSummary, document: JsonObject) -> tuple[Evidence, ...]:
    criteria = summary.criteria
    if criteria is None:
        return ()
    statistics: Mapping[str, JsonObject] = document.get("statistics") or {}
    margin = criteria.margin if criteria.mode == "not_worse" else 0.0
    found = []
    if criteria.statistic in statistics:
        measured = statistic_from(statistics[criteria.statistic])
        probability = document.get("probability")
        found.append(Evidence(criteria.statistic, measured, criteria.threshold, False, margin, probability))
    if document.get("share_below"):
        share = statistic_from(document["share_below"])
        found.append(Evidence("share_below", share, criteria.max_share_below, True, margin, None))
    return tuple(found)


def _indices(document: JsonObject) -> tuple[tuple[str, float], ...]:
    found = [(name, document.get(name)) for name in ("prevalence_index", "bias_index")]
    return tuple((name, float(value)) for name, value in found if value is not None)


def _class_row(row: JsonObject) -> ClassRow:
    measured = row.get("agreement") or next((value for value in row.values() if is_statistic(value)), None)
    judgements, outcome = row.get("n_judgements"), row.get("outcome")
    return ClassRow(
        label=str(row.get("label", "")),
        agreement=statistic_from(measured),
        n_judgements=None if judgements is None else int(judgements),
        critical=bool(row.get("critical")),
        outcome=None if outcome is None else str(outcome),
    )


def _task_rows(below: Sequence[str], tasks: Sequence[Task], annotations: Sequence[Annotation]) -> tuple[TaskRow, ...]:
    samples = {task.task_key: task.sample_id for task in tasks}
    answers: dict[str, dict[str, int]] = {task: {} for task in below}
    for annotation in annotations:
        label = annotation.value.get("label")
        if annotation.task_key in answers and isinstance(label, str):
            given = answers[annotation.task_key]
            given[label] = given.get(label, 0) + 1
    return tuple(
        TaskRow(task, samples.get(task, ""), tuple(sorted(answers[task].items(), key=lambda item: (-item[1], item[0]))))
        for task in below
    )


def _attempt_row(one: AttemptSummary) -> AttemptRow:
    return AttemptRow(
        key=one.key,
        state=one.attempt.state.value,
        outcome=one.in_force.outcome if one.in_force else None,
        planned_at=one.attempt.planned_at,
        judged_at=one.attempt.judged_at,
        published_at=one.attempt.published_at,
        judgements=one.judgements,
        accepted_labels=one.accepted_labels,
        reason=one.attempt.state_reason,
    )

"""What a reader of a whole project is told: quality over time, the people, the label mix and the price."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from annotation_ops.domain.quality.planning.adaptive_overlap import Savings
from annotation_ops.domain.quality.statistic import Statistic, undefined
from annotation_ops.domain.records import Incident
from annotation_ops.domain.reporting.batch_report import Confusions, VerdictRow, confusions, verdict_rows
from annotation_ops.domain.reporting.cost import (
    CostRow,
    added_savings,
    cost_by_batch,
    cost_by_cohort,
    median_seconds,
    total_cost,
)
from annotation_ops.domain.reporting.label_mix import MixOverTime, mix_over_time
from annotation_ops.domain.reporting.people import (
    CohortMatrix,
    HeatMap,
    PairMatrix,
    cohort_matrix,
    flags,
    heat_map,
    pair_matrix,
    usual_seconds,
)
from annotation_ops.domain.reporting.summary import AttemptSummary, Effort
from annotation_ops.domain.reporting.tallies import Tallies, added, needs_attention, proportions
from annotation_ops.domain.reporting.trends import TrendPoint, trend

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class AnnotatorRow:
    annotator_id: str
    cohort: str
    judgements: int
    agreement: Statistic
    """With the others on the same tasks, over all attempts."""
    seconds: float | None
    """Median lead time of a judgement."""
    flags: tuple[str, ...]
    """Codes: below_the_others, quick, little_evidence."""
    raised: tuple[str, ...]
    """Sentences: why somebody asks for a look at this person's work, found elsewhere."""

    @property
    def flagged(self) -> bool:
        """Little evidence is no reason to look at somebody's work."""
        return bool(self.raised) or any(flag != "little_evidence" for flag in self.flags)


@dataclass(frozen=True, slots=True)
class ProjectReport:
    project: str
    task_type: str
    as_of: datetime | None
    """Time of the newest record; None for a project without any."""
    n_batches: int
    n_attempts: int
    outcomes: Mapping[str, int]
    """Verdicts in force of label attempts, by outcome."""
    trend: tuple[TrendPoint, ...]
    verdicts: tuple[VerdictRow, ...]
    """Newest first."""
    annotators: tuple[AnnotatorRow, ...]
    """Those most certain to agree little, first."""
    crowd: Statistic
    """Agreement of everybody, over all attempts."""
    usual_seconds: float | None
    """Median over the annotators of their median lead times."""
    heat: HeatMap
    pairs: PairMatrix
    cohorts: CohortMatrix
    confusions: Confusions
    mix: MixOverTime
    cost: CostRow
    cost_by_batch: tuple[CostRow, ...]
    cost_by_cohort: tuple[CostRow, ...]
    savings: Savings | None
    """Judgements against the fixed overlap, over all answered attempts; None without one."""
    incidents: tuple[Incident, ...]
    """Newest first."""


def project_report(
    attempts: Sequence[AttemptSummary],
    *,
    project: str,
    task_type: str,
    labels: Sequence[str],
    cohorts: Mapping[str, str],
    incidents: Sequence[Incident],
    price: float,
    raised: Mapping[str, Sequence[str]] | None = None,
) -> ProjectReport:
    """`attempts` oldest first; `cohorts` maps an annotator to a cohort; `raised` are reasons, found elsewhere, to look at
    somebody's work, by annotator."""
    with_labels = [one for one in attempts if one.with_labels]
    tallies = added(one.tallies for one in with_labels)
    outcomes: dict[str, int] = {}
    for one in with_labels:
        if one.in_force:
            outcomes[one.in_force.outcome] = outcomes.get(one.in_force.outcome, 0) + 1
    people = _annotators(attempts, tallies, cohorts=cohorts, raised=raised or {})
    stamps = [one.newest for one in attempts] + [at for i in incidents for at in (i.opened_at, i.closed_at) if at]
    return ProjectReport(
        project=project,
        task_type=task_type,
        as_of=max(stamps, default=None),
        n_batches=len({one.batch.batch_id for one in attempts}),
        n_attempts=len(attempts),
        outcomes=outcomes,
        trend=trend(attempts),
        verdicts=verdict_rows(attempts)[::-1],
        annotators=people,
        crowd=_crowd(tallies),
        usual_seconds=usual_seconds(row.seconds for row in people),
        heat=heat_map(tallies, labels=labels, confidence=CONFIDENCE),
        pairs=pair_matrix(tallies, confidence=CONFIDENCE),
        cohorts=cohort_matrix(tallies, cohorts=cohorts),
        confusions=confusions(tallies),
        mix=mix_over_time(attempts, labels=labels),
        cost=total_cost(attempts, name=project, price=price),
        cost_by_batch=cost_by_batch(attempts, price=price),
        cost_by_cohort=cost_by_cohort(attempts, cohorts=cohorts, price=price),
        savings=added_savings(attempts),
        incidents=tuple(sorted(incidents, key=lambda i: (i.opened_at, i.incident_id), reverse=True)),
    )


def _annotators(
    attempts: Sequence[AttemptSummary],
    tallies: Tallies,
    *,
    cohorts: Mapping[str, str],
    raised: Mapping[str, Sequence[str]],
) -> tuple[AnnotatorRow, ...]:
    efforts: dict[str, list[Effort]] = {}
    for one in attempts:
        for name, effort in one.efforts.items():
            efforts.setdefault(name, []).append(effort)
    seconds = {name: median_seconds(many) for name, many in efforts.items()}
    found = flags(tallies.by_annotator, seconds=seconds)
    agreement = proportions(tallies.by_annotator, confidence=CONFIDENCE)
    rows = [
        AnnotatorRow(
            annotator_id=name,
            cohort=cohorts.get(name, ""),
            judgements=sum(effort.judgements for effort in many),
            agreement=agreement.get(name, undefined("no_overlap", n=0)),
            seconds=seconds[name],
            flags=found.get(name, ()),
            raised=tuple(raised.get(name, ())),
        )
        for name, many in efforts.items()
    ]
    return tuple(sorted(rows, key=lambda row: (*needs_attention(row.agreement), row.annotator_id)))


def _crowd(tallies: Tallies) -> Statistic:
    """Of the pairs of judgements on one task, the share that agrees. Without an interval: pairs of a task depend on each other."""
    agreeing = sum(tally.agreeing for tally in tallies.by_pair.values())
    n = sum(tally.n for tally in tallies.by_pair.values())
    return Statistic(agreeing / n, None, None, None, n) if n else undefined("no_overlap", n=0)

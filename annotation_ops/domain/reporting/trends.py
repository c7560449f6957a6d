"""The measured quality of a project, attempt by attempt."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from annotation_ops.domain.quality.statistic import Statistic
from annotation_ops.domain.records import SYSTEM_ACTOR, VerdictRecord
from annotation_ops.domain.reporting.summary import AttemptSummary, statistic_from


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One judged attempt against the criteria of its day."""

    key: str
    at: datetime
    outcome: str
    """Of the verdict in force: PASS, FAIL or INSUFFICIENT."""
    by_person: bool
    """Whether a person overrode the judge."""
    judged_by: str
    """Who decided: `system` or `person:...`."""
    note: str
    """The person's reason, or the judge's first one."""
    criteria: str
    """`version+hash12`."""
    statistic: str | None
    """The one its criteria name; None when their text is not stored."""
    measured: Statistic | None
    threshold: float | None


def trend(attempts: Iterable[AttemptSummary]) -> tuple[TrendPoint, ...]:
    """One point an attempt that was judged, in order of time, then key; audits and calibrations are left out."""
    points = [_point(one, one.in_force) for one in attempts if one.with_labels and one.in_force is not None]
    return tuple(sorted(points, key=lambda point: (point.at, point.key)))


def note_of(verdict: VerdictRecord) -> str:
    """Why, in one sentence: a person's own words before the judge's first reason."""
    reasons = verdict.document.get("reasons") or ()
    return verdict.reason or (str(reasons[0].get("text", "")) if reasons else "")


def _point(one: AttemptSummary, verdict: VerdictRecord) -> TrendPoint:
    statistics = verdict.document.get("statistics") or {}
    name = one.criteria.statistic if one.criteria else None
    return TrendPoint(
        key=one.key,
        at=one.verdicts[0].judged_at if one.verdicts else verdict.judged_at,
        outcome=verdict.outcome,
        by_person=verdict.judged_by != SYSTEM_ACTOR,
        judged_by=verdict.judged_by,
        note=note_of(verdict),
        criteria=verdict.criteria,
        statistic=name,
        measured=statistic_from(statistics.get(name)) if name in statistics else None,
        threshold=one.criteria.threshold if one.criteria else None,
    )

"""Which calibration round an annotator is due for, from the standing and the rounds so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from annotation_ops.domain.workforce.grading import CalibrationResult
from annotation_ops.domain.workforce.standing import Flagging, Need, Standing
from annotation_ops.domain.workforce.status import AnnotatorStatus

MOST_LOOKS = 4
"""Gradings of one round with its top-ups: the fourth may spend 1/64 of the first one's error, so a fifth shows little."""

MOST_FAILURES = 3
"""Failed rounds one after the other, after which a lead talks to the person before the next."""


@dataclass(frozen=True, slots=True)
class DueRound:
    annotator_id: str
    need: Need
    due_at: datetime
    """Not before; a round that follows training leaves time for it."""
    why: str


def undecided_series(results: Sequence[CalibrationResult]) -> tuple[CalibrationResult, ...]:
    """The undecided rounds at the end, which the next one tops up; `results` are one person's, oldest first.

    Empty after a decided round, after `MOST_LOOKS` of them, and where the guideline has another version since.
    """
    series: list[CalibrationResult] = []
    for result in results:
        other = bool(series) and series[-1].guideline_version != result.guideline_version
        if result.outcome is not AnnotatorStatus.NEEDS_MORE_EVIDENCE:
            series = []
        elif other or len(series) == MOST_LOOKS:
            series = [result]
        else:
            series.append(result)
    return () if len(series) == MOST_LOOKS else tuple(series)


def due_round(
    standing: Standing,
    *,
    results: Sequence[CalibrationResult],
    flagging: Flagging | None,
    pause: timedelta,
    now: datetime,
) -> DueRound | None:
    """The round that the standing asks for; None when it asks for none, or for a lead first.

    An undecided round is topped up at once, also where the one before it had failed.

    `results` are those of the person and the task type, oldest first. A lead is asked for after `MOST_FAILURES` failed rounds in
    a row and after `MOST_LOOKS` undecided ones; a round planned by hand goes on from there.
    """
    if standing.needs is Need.NOTHING or _stuck(results):
        return None
    if undecided_series(results):
        return DueRound(standing.annotator_id, Need.MORE_TASKS, now, standing.reason)
    due_at = now
    if standing.needs is Need.TRAINING:
        since = flagging.at if standing.code == "flagged_by_quality" and flagging is not None else results[-1].graded_at
        due_at = max(since + pause, now)
    return DueRound(standing.annotator_id, standing.needs, due_at, standing.reason)


def _stuck(results: Sequence[CalibrationResult]) -> bool:
    decided = [one.outcome for one in results if one.outcome is not AnnotatorStatus.NEEDS_MORE_EVIDENCE]
    failures = len(decided) >= MOST_FAILURES and set(decided[-MOST_FAILURES:]) == {AnnotatorStatus.FLAGGED}
    undecided = bool(results) and results[-1].outcome is AnnotatorStatus.NEEDS_MORE_EVIDENCE
    return failures or (undecided and not undecided_series(results))

"""Where an annotator stands with one task type. Nobody is ever removed: every standing has a way back.

uncertified --round--> certified --time, guideline--> lapsed --round--> certified
               |           |--evidence against--> flagged --training, round--> certified
               |--round not decided--> needs_more_evidence --more gold tasks--> certified | flagged
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.workforce.calibration import CalibrationRules
from annotation_ops.domain.workforce.grading import CalibrationResult
from annotation_ops.domain.workforce.status import AnnotatorStatus


class Need(StrEnum):
    """What brings the annotator (back) to `certified`."""

    NOTHING = "nothing"
    ONBOARDING = "onboarding"
    """A first calibration, the person's first in this project."""
    NEW_TASK_TYPE = "new_task_type"
    """A first calibration for this task type."""
    MORE_TASKS = "more_tasks"
    """More gold tasks; what was answered counts."""
    TRAINING = "training"
    """The training pack, then a new calibration round."""
    RECERTIFICATION = "recertification"
    """A new calibration round."""


@dataclass(frozen=True, slots=True)
class Flagging:
    """Evidence against somebody's work, raised outside calibration (see `flags`)."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    annotator_id: str
    task_type: str
    status: AnnotatorStatus
    code: str
    """`passed`, `never_calibrated`, `new_task_type`, `expired`, `guideline_changed`, `calibration_failed`,
    `calibration_undecided` or `flagged_by_quality`."""
    reason: str
    """For the annotator and the lead."""
    valid_until: datetime | None
    """Only while certified."""
    needs: Need

    def document(self) -> JsonObject:
        return {
            "annotator_id": self.annotator_id,
            "task_type": self.task_type,
            "status": self.status.value,
            "code": self.code,
            "reason": self.reason,
            "valid_until": self.valid_until.isoformat() if self.valid_until else None,
            "needs": self.needs.value,
        }


def standing(
    annotator_id: str,
    task_type: str,
    *,
    results: Sequence[CalibrationResult],
    now: datetime,
    guideline_version: str,
    rules: CalibrationRules,
    flagging: Flagging | None = None,
) -> Standing:
    """The standing that these results give now; results of other people and of the future are ignored.

    The latest decided round (PASS or FAIL) counts; an undecided one never takes away a certificate that is still valid. A pass
    holds for `rules.valid_for` and under the same major and minor version of the guideline. A `flagging` later than the last
    pass asks for training. Raises InvalidInput for a time without a time zone or a version that is not `1.2.3`.
    """
    _require_aware(now, *(result.graded_at for result in results), *((flagging.at,) if flagging else ()))
    past = [result for result in results if result.annotator_id == annotator_id and result.graded_at <= now]
    own = sorted(past, key=lambda result: (result.graded_at, result.look, result.task_type))
    here = [result for result in own if result.task_type == task_type]
    decided = [result for result in here if result.outcome is not AnnotatorStatus.NEEDS_MORE_EVIDENCE]
    last = decided[-1] if decided else None

    def stands(status: AnnotatorStatus, code: str, reason: str, needs: Need, until: datetime | None = None) -> Standing:
        return Standing(annotator_id, task_type, status, code, reason, until, needs)

    flagged, evidence = AnnotatorStatus.FLAGGED, AnnotatorStatus.NEEDS_MORE_EVIDENCE
    if last is not None and last.outcome is flagged:
        return stands(flagged, "calibration_failed", _failed(last), Need.TRAINING)
    if flagging is not None and flagging.at <= now and (last is None or flagging.at >= last.graded_at):
        return stands(flagged, "flagged_by_quality", flagging.reason, Need.TRAINING)
    lapse = _lapse(last, now=now, guideline_version=guideline_version, rules=rules) if last else None
    if last is not None and lapse is None:
        until = last.graded_at + rules.valid_for
        return stands(AnnotatorStatus.CERTIFIED, "passed", f"passed on {_day(last.graded_at)}", Need.NOTHING, until)
    if here and (last is None or here[-1].graded_at > last.graded_at):
        return stands(evidence, "calibration_undecided", _undecided(here[-1]), Need.MORE_TASKS)
    if lapse is not None:
        return stands(AnnotatorStatus.LAPSED, *lapse, Need.RECERTIFICATION)
    if own:
        reason = f"calibrated for {own[-1].task_type}, never for {task_type}"
        return stands(AnnotatorStatus.UNCERTIFIED, "new_task_type", reason, Need.NEW_TASK_TYPE)
    return stands(AnnotatorStatus.UNCERTIFIED, "never_calibrated", "no calibration round yet", Need.ONBOARDING)


def _lapse(
    last: CalibrationResult, *, now: datetime, guideline_version: str, rules: CalibrationRules
) -> tuple[str, str] | None:
    """Why a pass no longer holds, as code and reason."""
    if _release(last.guideline_version) != _release(guideline_version):
        return (
            "guideline_changed",
            f"passed under guideline {last.guideline_version}, which is now {guideline_version}: "
            "a change of the first two numbers changes what is right",
        )
    until = last.graded_at + rules.valid_for
    return ("expired", f"the certificate of {_day(last.graded_at)} ended on {_day(until)}") if now >= until else None


def _release(version: str) -> tuple[int, int]:
    parts = version.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        raise InvalidInput(f"guideline version: found {version!r}, expected three numbers such as '1.0.0'.")
    return int(parts[0]), int(parts[1])


def _failed(result: CalibrationResult) -> str:
    weak = [item.label for item in result.classes if item.outcome is AnnotatorStatus.FLAGGED]
    where = f", shown in {', '.join(weak)}" if weak else ""
    return f"the round of {_day(result.graded_at)} shows less than the required skill{where}"


def _undecided(result: CalibrationResult) -> str:
    return f"{result.n_answered} gold tasks answered by {_day(result.graded_at)} do not decide it yet"


def _day(moment: datetime) -> str:
    return moment.date().isoformat()


def _require_aware(*moments: datetime) -> None:
    for moment in moments:
        if moment.tzinfo is None:
            raise InvalidInput(f"found the naive time {moment.isoformat()}, expected one with a time zone (UTC).")

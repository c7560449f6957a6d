"""What the answers of a calibration round prove: exactly, for right and wrong answers, and for scores from 0 to 1."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.quality.statistic import Statistic, undefined
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.workforce.bounded_mean import (
    binomial_interval,
    binomial_p_values,
    score_interval,
    score_p_values,
)
from annotation_ops.domain.workforce.calibration import CalibrationRules, spent_error
from annotation_ops.domain.workforce.status import AnnotatorStatus


@dataclass(frozen=True, slots=True)
class ClassGrade:
    label: str
    accuracy: Statistic
    """`class_unused` where the round had no task of the class."""
    outcome: AnnotatorStatus
    """certified: at least class_minimum is shown; flagged: less is shown; else needs_more_evidence."""

    def document(self) -> JsonObject:
        return {"label": self.label, "accuracy": self.accuracy.document(), "outcome": self.outcome.value}


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    annotator_id: str
    task_type: str
    guideline_version: str
    graded_at: datetime
    outcome: AnnotatorStatus
    """`certified` = PASS, `flagged` = FAIL, `needs_more_evidence` = INSUFFICIENT; no other."""
    accuracy: Statistic
    classes: tuple[ClassGrade, ...]
    """In the order of the labels' names."""
    n_answered: int
    n_missing: int
    """Gold tasks of the round without an answer; they count neither way."""
    look: int
    """1 for the first grading of a round, 2 after its first top-up, ..."""
    errors: tuple[tuple[str, str, str], ...]
    """(task_id, the annotator's answer, gold label), by task_id; empty where scores were given."""

    @classmethod
    def from_document(cls, document: JsonObject) -> "CalibrationResult":
        """The inverse of `document`; statistics come back with the digits that were kept."""
        return cls(
            annotator_id=document["annotator_id"],
            task_type=document["task_type"],
            guideline_version=document["guideline_version"],
            graded_at=datetime.fromisoformat(document["graded_at"]),
            outcome=AnnotatorStatus(document["outcome"]),
            accuracy=Statistic(**document["accuracy"]),
            classes=tuple(
                ClassGrade(one["label"], Statistic(**one["accuracy"]), AnnotatorStatus(one["outcome"]))
                for one in document["classes"]
            ),
            n_answered=document["n_answered"],
            n_missing=document["n_missing"],
            look=document["look"],
            errors=tuple((one["task_id"], one["answer"], one["label"]) for one in document["errors"]),
        )

    def document(self) -> JsonObject:
        return {
            "annotator_id": self.annotator_id,
            "task_type": self.task_type,
            "guideline_version": self.guideline_version,
            "graded_at": self.graded_at.isoformat(),
            "outcome": self.outcome.value,
            "accuracy": self.accuracy.document(),
            "classes": [item.document() for item in self.classes],
            "n_answered": self.n_answered,
            "n_missing": self.n_missing,
            "look": self.look,
            "errors": [{"task_id": task, "answer": said, "label": label} for task, said, label in self.errors],
        }


@dataclass(frozen=True, slots=True)
class Round:
    """Which calibration it is."""

    annotator_id: str
    task_type: str
    guideline_version: str
    graded_at: datetime
    look: int = 1
    """1 for the first grading; 2 after a top-up, when gold tasks and answers hold the earlier ones too; ..."""


PValues: TypeAlias = Callable[[FloatArray, float], tuple[float, float]]
Interval: TypeAlias = Callable[[FloatArray, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Method:
    """Evidence about the mean of values in [0, 1]."""

    p_values: PValues
    """Of "at most the line" and "at least the line"."""
    interval: Interval


_COUNTS = _Method(
    lambda values, line: binomial_p_values(int(values.sum()), n=len(values), line=line),
    lambda values, confidence: binomial_interval(int(values.sum()), n=len(values), confidence=confidence),
)
_SCORES = _Method(
    lambda values, line: score_p_values(values, line=line),
    lambda values, confidence: score_interval(values, confidence=confidence),
)


def grade(
    answers: Mapping[str, str], gold: Mapping[str, str], *, of: Round, rules: CalibrationRules
) -> CalibrationResult:
    """Grades right and wrong answers with exact binomial evidence, overall and by class.

    `gold` is the round: task_id -> right label; `answers` is task_id -> the annotator's label. Raises InvalidInput for an
    answer to a task outside the round.
    """
    _require_round(answers, gold, of.look)
    values = {task: float(answers[task] == gold[task]) for task in answers}
    errors = tuple((task, answers[task], gold[task]) for task in sorted(answers) if answers[task] != gold[task])
    return _graded(values, gold, of=of, rules=rules, method=_COUNTS, errors=errors)


def grade_scores(
    scores: Mapping[str, float], gold: Mapping[str, str], *, of: Round, rules: CalibrationRules
) -> CalibrationResult:
    """The same for boxes, spans and texts: `scores` is task_id -> agreement of the answer with gold, within [0, 1].

    `gold` is task_id -> class of the task, or one word for all where classes mean nothing. Raises InvalidInput for a score
    outside [0, 1] or of a task outside the round.
    """
    _require_round(scores, gold, of.look)
    for task in sorted(scores):
        if not 0.0 <= scores[task] <= 1.0:
            raise InvalidInput(f"task {task!r}: found score {scores[task]}, expected a number from 0 to 1.")
    return _graded(scores, gold, of=of, rules=rules, method=_SCORES, errors=())


def _graded(
    values: Mapping[str, float],
    gold: Mapping[str, str],
    *,
    of: Round,
    rules: CalibrationRules,
    method: _Method,
    errors: tuple[tuple[str, str, str], ...],
) -> CalibrationResult:
    # In order of value: a sum's last bit must not depend on the names of the tasks.
    answered = sorted((value, gold[task]) for task, value in values.items())
    overall = np.array([value for value, _ in answered], dtype=np.float64)
    labels = sorted(set(gold.values()))
    parts = {label: [value for value, own in answered if own == label] for label in labels}
    # Every class may fail the round, so they share its error.
    shared = spent_error(rules, look=of.look) / max(len(labels), 1)
    classes = tuple(
        _class_grade(label, np.array(part, dtype=np.float64), rules=rules, error=shared, method=method)
        for label, part in parts.items()
    )
    return CalibrationResult(
        annotator_id=of.annotator_id,
        task_type=of.task_type,
        guideline_version=of.guideline_version,
        graded_at=of.graded_at,
        outcome=_outcome(overall, classes, rules=rules, look=of.look, method=method),
        accuracy=_statistic(overall, rules, method, empty="no_judgements"),
        classes=classes,
        n_answered=len(values),
        n_missing=len(gold) - len(values),
        look=of.look,
        errors=errors,
    )


def _require_round(answered: Mapping[str, object], gold: Mapping[str, str], look: int) -> None:
    if look < 1:
        raise InvalidInput(
            f"look: found {look}, expected 1 for the first grading of a round, 2 after its first top-up."
        )
    outside = sorted(set(answered) - set(gold))
    if outside:
        raise InvalidInput(
            f"answers: found task {outside[0]!r} ({len(outside)} such), which is not a gold task of this round. "
            "Grade the round's own tasks only."
        )


def _outcome(
    values: FloatArray, classes: Sequence[ClassGrade], *, rules: CalibrationRules, look: int, method: _Method
) -> AnnotatorStatus:
    """One class shown to be weak fails the round; classes not decided do not hold up a pass."""
    if not len(values):
        return AnnotatorStatus.NEEDS_MORE_EVIDENCE
    error = spent_error(rules, look=look)
    weak = any(item.outcome is AnnotatorStatus.FLAGGED for item in classes)
    if weak or method.p_values(values, rules.minimum)[1] <= error:
        return AnnotatorStatus.FLAGGED
    shown = method.p_values(values, rules.minimum - rules.margin)[0] <= error
    # 1e-9: 34 of 40 reach a minimum of 0.85 whatever the sum's last bit says.
    reached = float(values.mean()) >= rules.minimum - 1e-9
    return AnnotatorStatus.CERTIFIED if shown and reached else AnnotatorStatus.NEEDS_MORE_EVIDENCE


def _class_grade(
    label: str, values: FloatArray, *, rules: CalibrationRules, error: float, method: _Method
) -> ClassGrade:
    outcome = AnnotatorStatus.NEEDS_MORE_EVIDENCE
    if len(values):
        above, below = method.p_values(values, rules.class_minimum)
        if below <= error:
            outcome = AnnotatorStatus.FLAGGED
        elif above <= error:
            outcome = AnnotatorStatus.CERTIFIED
    return ClassGrade(label, _statistic(values, rules, method, empty="class_unused"), outcome)


def _statistic(values: FloatArray, rules: CalibrationRules, method: _Method, *, empty: str) -> Statistic:
    if not len(values):
        return undefined(empty, n=0)
    low, high = method.interval(values, rules.confidence)
    mean = float(values.mean())
    return Statistic(mean, None, min(low, mean), max(high, mean), len(values))

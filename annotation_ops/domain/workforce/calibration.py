"""A calibration round: gold tasks for one annotator and task type, and what the answers prove.

Three answers are possible, as for a batch: the skill is shown, the lack of it is shown, or more gold tasks are needed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.quality.statistic import Statistic, undefined
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.workforce.bounded_mean import (
    binomial_interval,
    binomial_p_values,
    least_right,
    most_right,
    power,
    score_interval,
    score_p_values,
)
from annotation_ops.domain.workforce.status import AnnotatorStatus

SPENT_FIRST = 0.75
"""Share of the error probability spent on the first look; each later look at the same round has a quarter of the one
before, so looking again after a top-up never adds up to more than the stated error."""
LARGEST_ROUND = 2000
"""Gold tasks beyond which `round_size` gives up: the two skills are then too close to tell apart."""
SHARES = frozenset({"minimum", "class_minimum", "confidence"})


@dataclass(frozen=True, slots=True)
class CalibrationRules:
    size: int = 40
    """Gold tasks of a round. By default 40 of them: somebody of skill .95 passes 86 % of rounds, of .80 3 %."""
    minimum: float = 0.85
    """Required accuracy (or mean score)."""
    margin: float = 0.05
    """Pass: at least the minimum was reached, and a skill of minimum - margin is excluded by the evidence."""
    class_minimum: float = 0.6
    """Evidence of less than this in one class fails the round."""
    confidence: float = 0.95
    valid_for: timedelta = timedelta(days=180)

    def __post_init__(self) -> None:
        for name in sorted(SHARES):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise InvalidInput(f"{name}: found {value}, expected a number between 0 and 1.")
        if not 0 <= self.margin < self.minimum:
            raise InvalidInput(f"margin: found {self.margin}, expected a number from 0 to below the minimum.")
        if self.size < 1 or self.valid_for <= timedelta(0):
            raise InvalidInput(f"found size {self.size} and valid_for {self.valid_for}, expected both above 0.")


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
class RoundPower:
    """What a round of this size can prove about right and wrong answers."""

    size: int
    pass_from: int | None
    """Right answers from which it passes; None where even all of them prove too little."""
    fail_up_to: int | None
    """Right answers up to which it fails."""
    pass_probability: float
    """Of a person of the assumed skill."""


def round_power(*, rules: CalibrationRules, truth: float, size: int | None = None, look: int = 1) -> RoundPower:
    """What a round of `size` (default: the rules') decides, and how often somebody of skill `truth` passes it."""
    n = rules.size if size is None else size
    confidence = _confidence(rules, look)
    shown = least_right(n=n, line=rules.minimum - rules.margin, confidence=confidence)
    reached = None if shown is None else max(shown, int(np.ceil(rules.minimum * n - 1e-9)))
    failing = most_right(n=n, line=rules.minimum, confidence=confidence)
    passing = 0.0
    if shown is not None and reached == shown:
        passing = power(n=n, line=rules.minimum - rules.margin, truth=truth, confidence=confidence)
    elif reached is not None:
        passing = 1.0 - binomial_p_values(reached - 1, n=n, line=truth)[1]
    return RoundPower(n, reached, failing, passing)


def round_size(*, rules: CalibrationRules, truth: float, pass_probability: float) -> int | None:
    """Fewest gold tasks on which somebody of skill `truth` passes at least this often; None above LARGEST_ROUND.

    No larger round up to 10 tasks more may be worse: right answers come in whole numbers, so power saws up and down.
    """
    held = 0
    for size in range(1, LARGEST_ROUND + 11):
        held = held + 1 if round_power(rules=rules, truth=truth, size=size).pass_probability >= pass_probability else 0
        if held > 10:
            return size - 10
    return None


def grade(
    answers: Mapping[str, str],
    gold: Mapping[str, str],
    *,
    annotator_id: str,
    task_type: str,
    guideline_version: str,
    graded_at: datetime,
    rules: CalibrationRules,
    look: int = 1,
) -> CalibrationResult:
    """Grades right and wrong answers with exact binomial evidence.

    `gold` is the round: task_id -> right label. `answers` is task_id -> the annotator's label; after a top-up both hold the
    earlier tasks too, and `look` counts up. Raises InvalidInput for an answer to a task outside the round.
    """
    _require_round(answers, gold, look)
    tasks = sorted(answers)
    right = np.array([answers[task] == gold[task] for task in tasks], dtype=np.bool_)
    evidence = _counted(right, rules=rules, look=look)
    truth = [gold[task] for task in tasks]
    parts = {label: right[[at for at, own in enumerate(truth) if own == label]] for label in sorted(set(gold.values()))}
    classes = tuple(
        _class_grade(label, _counted_class(part, rules=rules, look=look, of=len(parts)))
        for label, part in parts.items()
    )
    errors = tuple((task, answers[task], gold[task]) for task in tasks if answers[task] != gold[task])
    return CalibrationResult(
        annotator_id,
        task_type,
        guideline_version,
        graded_at,
        _outcome(evidence[1], classes),
        evidence[0],
        classes,
        len(tasks),
        len(gold) - len(tasks),
        look,
        errors,
    )


def grade_scores(
    scores: Mapping[str, float],
    gold: Mapping[str, str],
    *,
    annotator_id: str,
    task_type: str,
    guideline_version: str,
    graded_at: datetime,
    rules: CalibrationRules,
    look: int = 1,
) -> CalibrationResult:
    """The same for boxes, spans and texts: `scores` is task_id -> agreement of the answer with gold, within [0, 1].

    `gold` is task_id -> class of the task, or one word for all where classes mean nothing. Raises InvalidInput for a score
    outside [0, 1] or of a task outside the round.
    """
    _require_round(scores, gold, look)
    tasks = sorted(scores)
    for task in tasks:
        if not 0.0 <= scores[task] <= 1.0:
            raise InvalidInput(f"task {task!r}: found score {scores[task]}, expected a number from 0 to 1.")
    values = np.array([scores[task] for task in tasks], dtype=np.float64)
    evidence = _scored(values, rules=rules, look=look)
    parts = {
        label: values[[at for at, task in enumerate(tasks) if gold[task] == label]]
        for label in sorted(set(gold.values()))
    }
    classes = tuple(
        _class_grade(label, _scored_class(part, rules=rules, look=look, of=len(parts))) for label, part in parts.items()
    )
    return CalibrationResult(
        annotator_id,
        task_type,
        guideline_version,
        graded_at,
        _outcome(evidence[1], classes),
        evidence[0],
        classes,
        len(tasks),
        len(gold) - len(tasks),
        look,
        (),
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


def _confidence(rules: CalibrationRules, look: int) -> float:
    return 1.0 - (1.0 - rules.confidence) * SPENT_FIRST * (1.0 - SPENT_FIRST) ** (look - 1)


def _decide(
    value: float, above: float, below: float, *, rules: CalibrationRules, look: int, minimum: float, of: int = 1
) -> AnnotatorStatus:
    """`above` and `below` are p-values against "not good enough" and "good enough"; `of` tests share the error."""
    error = (1.0 - _confidence(rules, look)) / of
    if below <= error:
        return AnnotatorStatus.FLAGGED
    shown = above <= error and value >= minimum - 1e-9
    return AnnotatorStatus.CERTIFIED if shown else AnnotatorStatus.NEEDS_MORE_EVIDENCE


_Graded = tuple[Statistic, AnnotatorStatus]


def _counted(right: np.ndarray, *, rules: CalibrationRules, look: int) -> _Graded:
    n, hits = len(right), int(right.sum())
    if n == 0:
        return undefined("no_judgements", n=0), AnnotatorStatus.NEEDS_MORE_EVIDENCE
    above, _ = binomial_p_values(hits, n=n, line=rules.minimum - rules.margin)
    _, below = binomial_p_values(hits, n=n, line=rules.minimum)
    low, high = binomial_interval(hits, n=n, confidence=rules.confidence)
    decided = _decide(hits / n, above, below, rules=rules, look=look, minimum=rules.minimum)
    return Statistic(hits / n, None, low, high, n), decided


def _counted_class(right: np.ndarray, *, rules: CalibrationRules, look: int, of: int) -> _Graded:
    n, hits = len(right), int(right.sum())
    if n == 0:
        return undefined("class_unused", n=0), AnnotatorStatus.NEEDS_MORE_EVIDENCE
    above, below = binomial_p_values(hits, n=n, line=rules.class_minimum)
    low, high = binomial_interval(hits, n=n, confidence=rules.confidence)
    decided = _decide(hits / n, above, below, rules=rules, look=look, minimum=rules.class_minimum, of=of)
    return Statistic(hits / n, None, low, high, n), decided


def _scored(scores: FloatArray, *, rules: CalibrationRules, look: int) -> _Graded:
    if not len(scores):
        return undefined("no_judgements", n=0), AnnotatorStatus.NEEDS_MORE_EVIDENCE
    above, _ = score_p_values(scores, line=rules.minimum - rules.margin)
    _, below = score_p_values(scores, line=rules.minimum)
    low, high = score_interval(scores, confidence=rules.confidence)
    mean = float(scores.mean())
    decided = _decide(mean, above, below, rules=rules, look=look, minimum=rules.minimum)
    return Statistic(mean, None, low, high, len(scores)), decided


def _scored_class(scores: FloatArray, *, rules: CalibrationRules, look: int, of: int) -> _Graded:
    if not len(scores):
        return undefined("class_unused", n=0), AnnotatorStatus.NEEDS_MORE_EVIDENCE
    above, below = score_p_values(scores, line=rules.class_minimum)
    low, high = score_interval(scores, confidence=rules.confidence)
    mean = float(scores.mean())
    decided = _decide(mean, above, below, rules=rules, look=look, minimum=rules.class_minimum, of=of)
    return Statistic(mean, None, low, high, len(scores)), decided


def _class_grade(label: str, graded: _Graded) -> ClassGrade:
    return ClassGrade(label, *graded)


def _outcome(overall: AnnotatorStatus, classes: Sequence[ClassGrade]) -> AnnotatorStatus:
    """One class shown to be weak fails the round; classes not decided do not hold up a pass."""
    if any(item.outcome is AnnotatorStatus.FLAGGED for item in classes):
        return AnnotatorStatus.FLAGGED
    return overall


def missed_classes(result: CalibrationResult) -> Counter[str]:
    return Counter(label for _, _, label in result.errors)

"""A calibration round: which gold tasks an annotator gets for a task type, and what their number can prove.

Three answers are possible, as for a batch (see `grading`): the skill is shown, the lack of it is shown, or more gold
tasks are needed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from scipy.stats import binom

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.selection.stable_hash import seed_word
from annotation_ops.domain.workforce.bounded_mean import least_right, most_right
from annotation_ops.domain.workforce.skill import Confusion

SPENT_FIRST = 0.75
"""Share of the error probability spent on the first look; each later look at the same round has a quarter of the one
before, so looking again after a top-up never adds up to more than the stated error."""
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
class RoundPower:
    """What a round of this size can prove about right and wrong answers."""

    size: int
    pass_from: int | None
    """Right answers from which it passes; None where even all of them prove too little."""
    fail_up_to: int | None
    """Right answers up to which it fails."""
    pass_probability: float
    """Of a person of the assumed skill."""


def spent_error(rules: CalibrationRules, *, look: int) -> float:
    """Error probability of one look at a round, for each question: is the skill shown, is its lack shown, is any class weak?

    All looks together spend 1 - confidence for each, so a person at both minima fails unjustly at most 2 (1 - confidence) often.
    """
    return (1.0 - rules.confidence) * SPENT_FIRST * (1.0 - SPENT_FIRST) ** (look - 1)


def round_power(*, rules: CalibrationRules, truth: float, size: int | None = None, look: int = 1) -> RoundPower:
    """What a round of `size` (default: the rules') decides, and how often somebody of skill `truth` passes it."""
    n = rules.size if size is None else size
    confidence = 1.0 - spent_error(rules, look=look)
    shown = least_right(n=n, line=rules.minimum - rules.margin, confidence=confidence)
    failing = most_right(n=n, line=rules.minimum, confidence=confidence)
    if shown is None:
        return RoundPower(n, None, failing, 0.0)
    reached = max(shown, int(np.ceil(rules.minimum * n - 1e-9)))
    return RoundPower(n, reached, failing, float(binom.sf(reached - 1, n, truth)))


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    annotator_id: str
    task_type: str
    tasks: tuple[str, ...]
    """Gold tasks in the order to show them, which says nothing about the class."""
    by_class: Mapping[str, int]
    emphasised: Mapping[str, int]
    """Of `by_class`, how many were added for the annotator's own confusions."""
    repeated: tuple[str, ...]
    """Tasks the annotator has had before: there were not enough others."""
    missing: int
    """Tasks fewer than wanted: the gold set is too small."""

    def document(self) -> JsonObject:
        return {
            "annotator_id": self.annotator_id,
            "task_type": self.task_type,
            "tasks": list(self.tasks),
            "by_class": dict(self.by_class),
            "emphasised": dict(self.emphasised),
            "repeated": list(self.repeated),
            "missing": self.missing,
        }


def plan_round(
    annotator_id: str,
    *,
    task_type: str,
    gold: Mapping[str, str],
    size: int,
    confusions: Sequence[Confusion] = (),
    seen: Collection[str] = (),
    seed: int,
) -> CalibrationPlan:
    """Draws the gold tasks of one round.

    `gold` is task_id -> class of every task that may be drawn. Half the round is spread evenly over the classes (all of it
    without `confusions`), half over the classes the annotator confuses, as often as they are confused, both the right one
    and the one said instead. Tasks in `seen` (earlier rounds, own judgements) are drawn only when a class has no others.
    The same arguments give the same plan, whatever the order of `gold`. Raises InvalidInput for a size below 1 or no gold.
    """
    if size < 1 or not gold:
        raise InvalidInput(f"found size {size} and {len(gold)} gold tasks, expected at least 1 of each.")
    known = frozenset(seen)
    supply = _supply(annotator_id, gold, known, seed)
    available = {label: len(tasks) for label, tasks in supply.items()}
    even = size - size // 2 if _errors(confusions, available) else size
    spread = _shares(even, dict.fromkeys(available, 1.0), available)
    left = {label: available[label] - spread[label] for label in available}
    added = _shares(size - sum(spread.values()), _errors(confusions, available), left)
    rest = {label: left[label] - added[label] for label in available}
    filled = _shares(size - sum(spread.values()) - sum(added.values()), dict.fromkeys(available, 1.0), rest)
    count = {label: spread[label] + added[label] + filled[label] for label in available}
    drawn = [task for label in available for task in supply[label][: count[label]]]
    drawn.sort(key=lambda task: seed_word("calibration order", str(seed), annotator_id, task))
    return CalibrationPlan(
        annotator_id=annotator_id,
        task_type=task_type,
        tasks=tuple(drawn),
        by_class=count,
        emphasised={label: n for label, n in added.items() if n},
        repeated=tuple(sorted(task for task in drawn if task in known)),
        missing=size - len(drawn),
    )


def _supply(annotator_id: str, gold: Mapping[str, str], seen: frozenset[str], seed: int) -> dict[str, list[str]]:
    """Tasks of each class, in the order they are drawn: unseen ones first, each group by a seeded hash."""
    ranked = sorted(
        gold, key=lambda task: (task in seen, seed_word("calibration", str(seed), annotator_id, task), task)
    )
    supply: dict[str, list[str]] = {label: [] for label in sorted(set(gold.values()))}
    for task in ranked:
        supply[gold[task]].append(task)
    return supply


def _errors(confusions: Sequence[Confusion], available: Mapping[str, int]) -> dict[str, float]:
    """How often each class takes part in a confusion; only classes that have gold tasks."""
    errors: dict[str, float] = {}
    for confusion in confusions:
        for label in (confusion.label, confusion.answer):
            if label in available:
                errors[label] = errors.get(label, 0.0) + confusion.count
    return errors


def _shares(total: int, weights: Mapping[str, float], limits: Mapping[str, int]) -> dict[str, int]:
    """`total` divided in proportion to the weights, each share within its limit; one at a time to the one furthest behind
    (Sainte-Lague), equals in order of name."""
    shares = dict.fromkeys(limits, 0)
    for _ in range(total):
        open_labels = [
            label for label in sorted(limits) if weights.get(label, 0.0) > 0 and shares[label] < limits[label]
        ]
        if not open_labels:
            break
        chosen = max(open_labels, key=lambda label: weights[label] / (2 * shares[label] + 1))
        shares[chosen] += 1
    return shares

"""Are two cohorts equally good? The same gold tasks, people as the units.

Judgements of one person resemble each other, so the evidence is the number of people, not of judgements: variances are
cluster-robust (Liang & Zeger, Biometrika 73:13-22, 1986), with Student's t and Welch's degrees of freedom because cohorts are
small. "No significant difference" is no proof of equality; equality within a margin is tested itself, by two one-sided
tests (TOST; Schuirmann, J Pharmacokinet Biopharm 15:657-680, 1987).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from scipy.special import stdtr, stdtrit

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.quality.statistic import Statistic, rounded, undefined
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.workforce.false_discovery import benjamini_hochberg


class Equivalence(StrEnum):
    EQUIVALENT = "equivalent"
    """Shown to lie within the margin; a difference may be certain, but it is smaller than matters."""
    DIFFERENT = "different"
    """Shown to differ, and not shown to lie within the margin."""
    UNDECIDED = "undecided"
    """Neither: more people, or more gold tasks a person, would tell."""


@dataclass(frozen=True, slots=True)
class GoldScore:
    """One person on the gold tasks."""

    annotator_id: str
    right: float
    """Right answers, or the sum of scores in [0, 1]."""
    n: int
    """Gold tasks answered."""


@dataclass(frozen=True, slots=True)
class CohortAccuracy:
    cohort: str
    n_annotators: int
    accuracy: Statistic
    """Of all judgements; n is their number. `too_few_people` with one person."""

    def document(self) -> JsonObject:
        return {"cohort": self.cohort, "n_annotators": self.n_annotators, "accuracy": self.accuracy.document()}


@dataclass(frozen=True, slots=True)
class CohortComparison:
    cohorts: tuple[str, str]
    """In order of name; the difference is first - second."""
    outcome: Equivalence
    difference: Statistic
    """Interval at 1 - 2 x error: it lies within the margin exactly when one pair alone is shown equivalent. n is the number
    of people. `too_few_people` when a cohort has one."""
    p_different: float | None
    p_equivalent: float | None
    """Larger of the two one-sided p-values. Both None where the difference is undefined."""

    def document(self) -> JsonObject:
        return {
            "cohorts": list(self.cohorts),
            "outcome": self.outcome.value,
            "difference": self.difference.document(),
            "p_different": rounded(self.p_different),
            "p_equivalent": rounded(self.p_equivalent),
        }


@dataclass(frozen=True, slots=True)
class CohortReport:
    cohorts: tuple[CohortAccuracy, ...]
    comparisons: tuple[CohortComparison, ...]
    """Every two cohorts."""

    def document(self) -> JsonObject:
        return {
            "cohorts": [item.document() for item in self.cohorts],
            "comparisons": [item.document() for item in self.comparisons],
        }


def compare_cohorts(
    scores: Iterable[GoldScore], *, cohorts: Mapping[str, str], margin: float = 0.05, confidence: float = 0.95
) -> CohortReport:
    """Every cohort, and every two of them.

    `cohorts` is annotator_id -> cohort; people without one, or without gold tasks, are left out. All should have had the same
    gold tasks: what is compared is people, not tasks. False discovery is controlled over pairs at 1 - confidence, for
    difference and for equivalence each. Raises InvalidInput for a margin or confidence outside (0, 1), more right than
    answered, or a person twice.
    """
    for name, value in (("margin", margin), ("confidence", confidence)):
        if not 0 < value < 1:
            raise InvalidInput(f"{name}: found {value}, expected a number between 0 and 1.")
    groups = _groups(scores, cohorts)
    found = {name: _estimate(right, n) for name, (right, n) in groups.items()}
    pairs = [_Pair.of((first, second), found[first], found[second], margin) for first, second in combinations(found, 2)]
    tested = [pair for pair in pairs if pair.freedom > 0]
    rate = 1.0 - confidence
    different = benjamini_hochberg(np.array([pair.p_different for pair in tested]), rate=rate).tolist()
    equivalent = benjamini_hochberg(np.array([pair.p_equivalent for pair in tested]), rate=rate).tolist()
    outcome = {pair.cohorts: _outcome(*shown) for pair, *shown in zip(tested, different, equivalent, strict=True)}
    return CohortReport(
        tuple(_accuracy(name, estimate, confidence) for name, estimate in found.items()),
        tuple(_comparison(pair, outcome.get(pair.cohorts, Equivalence.UNDECIDED), rate) for pair in pairs),
    )


@dataclass(frozen=True, slots=True)
class _Estimate:
    value: float
    variance: float
    people: int
    judgements: int


def _groups(scores: Iterable[GoldScore], cohorts: Mapping[str, str]) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Right answers and answers of each cohort's people, ordered so that names do not matter to sums."""
    seen: set[str] = set()
    rows: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for score in scores:
        if score.annotator_id in seen or not 0 <= score.right <= score.n:
            raise InvalidInput(
                f"annotator {score.annotator_id!r}: found {score.right} right of {score.n}, expected one entry a person, "
                "with at least 0 and at most all right."
            )
        seen.add(score.annotator_id)
        if score.n and score.annotator_id in cohorts:
            rows[cohorts[score.annotator_id]].append((score.n, score.right))
    return {
        name: (
            np.array([right for _, right in sorted(rows[name])], dtype=np.float64),
            np.array([n for n, _ in sorted(rows[name])], dtype=np.float64),
        )
        for name in sorted(rows)
    }


def _estimate(right: FloatArray, n: FloatArray) -> _Estimate:
    people, total = len(n), float(n.sum())
    value = float(right.sum()) / total
    if people < 2:
        return _Estimate(value, 0.0, people, int(total))
    between = float(((right - value * n) ** 2).sum()) * people / (people - 1) / total**2
    # People who happen to be all alike still answer at random: never less than the binomial variance, half an error added.
    smoothed = (float(right.sum()) + 0.5) / (total + 1.0)
    return _Estimate(value, max(between, smoothed * (1.0 - smoothed) / total), people, int(total))


@dataclass(frozen=True, slots=True)
class _Pair:
    cohorts: tuple[str, str]
    difference: float
    error: float
    freedom: float
    """0 where a cohort has one person."""
    people: int
    p_different: float
    p_equivalent: float

    @classmethod
    def of(cls, names: tuple[str, str], first: _Estimate, second: _Estimate, margin: float) -> "_Pair":
        people = first.people + second.people
        difference = first.value - second.value
        if min(first.people, second.people) < 2:
            return cls(names, difference, 0.0, 0.0, people, 1.0, 1.0)
        variance = first.variance + second.variance
        freedom = variance**2 / (first.variance**2 / (first.people - 1) + second.variance**2 / (second.people - 1))
        error = float(np.sqrt(variance))
        beyond = (abs(difference) - margin) / error
        different = 2.0 * float(stdtr(freedom, -abs(difference) / error))
        return cls(names, difference, error, freedom, people, different, float(stdtr(freedom, beyond)))


def _outcome(different: bool, equivalent: bool) -> Equivalence:
    if equivalent:
        return Equivalence.EQUIVALENT
    return Equivalence.DIFFERENT if different else Equivalence.UNDECIDED


def _comparison(pair: _Pair, outcome: Equivalence, rate: float) -> CohortComparison:
    if pair.freedom == 0:
        return CohortComparison(pair.cohorts, outcome, undefined("too_few_people", n=pair.people), None, None)
    reach = float(stdtrit(pair.freedom, 1.0 - rate)) * pair.error
    low, high = max(pair.difference - reach, -1.0), min(pair.difference + reach, 1.0)
    difference = Statistic(pair.difference, None, low, high, pair.people)
    return CohortComparison(pair.cohorts, outcome, difference, pair.p_different, pair.p_equivalent)


def _accuracy(name: str, found: _Estimate, confidence: float) -> CohortAccuracy:
    if found.people < 2:
        return CohortAccuracy(name, found.people, undefined("too_few_people", n=found.judgements))
    reach = float(stdtrit(found.people - 1, (1.0 + confidence) / 2.0) * np.sqrt(found.variance))
    low, high = max(found.value - reach, 0.0), min(found.value + reach, 1.0)
    return CohortAccuracy(name, found.people, Statistic(found.value, None, low, high, found.judgements))

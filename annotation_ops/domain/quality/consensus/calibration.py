"""How sure a posterior may be: measured, and mended without gold or with it.

Without gold: each judgement is predicted from the posterior of the others on its task, and the exponent under which that
works best is found. It sees how predictable people are, not whether they are right: where they share errors (hard tasks
seen alike by all) it sharpens too much, so only its square root is applied, and only where enough others are left.
With gold: the exponent is fitted on tasks whose label is known; a few dozen are enough for one number.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy.optimize import minimize_scalar

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.consensus.ratings import FLOOR, Ratings, softmax
from annotation_ops.domain.quality.judgements import FloatArray, IntArray

MIN_OVERLAP = 4.0
"""Judgements a task, on average, below which no exponent is estimated without gold: at 2 and 3, what is left when one is
taken out is too unlike what is used, and the error of calibration grew on real crowds (docs/consensus.md)."""
TRUST = 0.5
"""Power to which the exponent found is raised."""
EXPONENTS = np.exp(np.linspace(np.log(0.5), np.log(3.0), 10))
BLOCK = 1 << 16
"""Ratings at a time."""


class LeavesOut(Protocol):
    """A posterior that can leave out single ratings, and what people answer given the truth."""

    def left_out(self, ratings: Ratings, counts: FloatArray, rows: slice) -> FloatArray: ...

    @property
    def members(self) -> "HasConfusion": ...


class HasConfusion(Protocol):
    @property
    def confusion(self) -> FloatArray | None: ...


def sharpened(posterior: FloatArray, exponent: float) -> FloatArray:
    """The posterior raised to a power and normalised; above 1 surer, below 1 less sure, 1 as it was."""
    if exponent == 1.0:
        return posterior
    return softmax(exponent * np.log(np.maximum(posterior, FLOOR)))


def sharpness(mixture: LeavesOut, ratings: Ratings, counts: FloatArray) -> float:
    """The exponent to apply, by leaving one judgement out; 1 where that cannot be told."""
    confusion = mixture.members.confusion
    if confusion is None or len(ratings.task) < MIN_OVERLAP * ratings.n_tasks:
        return 1.0
    found = best_by_prediction(
        ratings, lambda rows: mixture.left_out(ratings, counts, rows), sharpened, confusion, EXPONENTS
    )
    return float(found**TRUST)


def best_by_prediction(
    ratings: Ratings,
    left_out: Callable[[slice], FloatArray],
    changed: Callable[[FloatArray, float], FloatArray],
    confusion: FloatArray,
    candidates: FloatArray,
) -> float:
    """The candidate under which the ratings are likeliest given the other ratings of their tasks.

    `confusion` is P(given | true) by annotator, given, true; `changed(posterior, candidate)` what is compared.
    """
    others = np.bincount(ratings.task, minlength=ratings.n_tasks)[ratings.task] > 1
    likelihood = np.zeros(len(candidates))
    for start in range(0, len(ratings.task), BLOCK):
        rows = slice(start, start + BLOCK)
        use = others[rows]
        posterior = left_out(rows)[use]
        answers = confusion[ratings.annotator[rows][use], ratings.label[rows][use]]
        for number, candidate in enumerate(candidates):
            predicted = (changed(posterior, float(candidate)) * answers).sum(axis=1)
            likelihood[number] += np.log(np.maximum(predicted, FLOOR)).sum()
    # Rounded so that the order of summation does not choose between equals; the first of them is taken.
    return float(candidates[int(np.round(likelihood, 6).argmax())])


def sharpness_on_gold(posterior: FloatArray, truth: IntArray) -> float:
    """The exponent with the least negative log-likelihood on tasks whose label is known.

    `posterior` is (n_gold, q), `truth` the class of each, (n_gold,). Raises InvalidInput without a task.
    """
    if not len(truth) or len(truth) != len(posterior):
        raise InvalidInput(
            f"gold: found {len(truth)} labels for {len(posterior)} posteriors, expected one each and at least one. "
            "Pass the posteriors of the gold tasks only."
        )
    logs = np.log(np.maximum(posterior, FLOOR))

    def loss(log_exponent: float) -> float:
        chosen = softmax(np.exp(log_exponent) * logs)[np.arange(len(truth)), truth]
        # One task's worth of belief that nothing needs mending keeps a handful of gold from choosing an extreme.
        return float(-np.log(np.maximum(chosen, FLOOR)).sum() + log_exponent**2)

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return float(np.exp(found.x))


def calibration_error(confidence: FloatArray, right: FloatArray, *, bins: int = 10) -> float:
    """Expected calibration error over bins of equal width: |confidence - accuracy|, weighted by tasks.

    `right` may be fractional where a tie is shared. Raises InvalidInput without a task.
    """
    if not len(confidence):
        raise InvalidInput("calibration: found no task, expected at least one. Pass tasks whose label is known.")
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))

"""A measured number with its evidence, or the reason why there is none."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.records import JsonObject

ROUNDING = 9
"""Digits kept in documents: below what a different BLAS or summation order can change."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """`value` is None exactly when `reason` is given; then there is no interval either. Never NaN.

    Reasons: `no_judgements`, `no_overlap` (no task with two judgements), `not_two_annotators`, `single_category`
    (chance agreement is 1), `class_unused`.
    """

    value: float | None
    reason: str | None
    low: float | None
    high: float | None
    n: int
    """Tasks it rests on."""

    def document(self) -> JsonObject:
        return {
            "value": rounded(self.value),
            "reason": self.reason,
            "low": rounded(self.low),
            "high": rounded(self.high),
            "n": self.n,
        }


def undefined(reason: str, *, n: int) -> Statistic:
    return Statistic(None, reason, None, None, n)


def with_draws(value: float, *, draws: FloatArray, confidence: float, n: int) -> Statistic:
    """The value with the central interval of its posterior draws, widened where needed to hold the value itself."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(draws, (tail, 1.0 - tail))
    return Statistic(value, None, min(float(low), value), max(float(high), value), n)


def jeffreys(successes: FloatArray, *, trials: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Bounds of a proportion under the Jeffreys prior Beta(1/2, 1/2); 0 and 1 when nothing, or everything, succeeded.

    Successes may be fractional (a mean of values in [0, 1]): no such mean varies more than a proportion, so the
    interval is then too wide rather than too narrow.
    """
    tail = (1.0 - confidence) / 2.0
    low = betaincinv(successes + 0.5, trials - successes + 0.5, tail)
    high = betaincinv(successes + 0.5, trials - successes + 0.5, 1.0 - tail)
    return np.where(successes <= 0, 0.0, low), np.where(successes >= trials, 1.0, high)


def rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), ROUNDING) + 0.0


def documents(statistics: Iterable[tuple[str, Statistic]]) -> JsonObject:
    return {name: statistic.document() for name, statistic in statistics}

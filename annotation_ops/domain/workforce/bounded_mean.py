"""Exact evidence about a mean: counts of right answers, or scores between 0 and 1 of any distribution."""

import numpy as np
from scipy.special import betaincinv
from scipy.stats import binom

from annotation_ops.domain.quality.judgements import FloatArray

BETS = np.linspace(0.02, 0.98, 25)
"""Shares of the wealth that are bet; the average of all wins almost as much as the best of them."""
SEARCH_ROUNDS = 40


def binomial_p_values(right: int, *, n: int, line: float) -> tuple[float, float]:
    """p-values of "the skill is at most `line`" and of "it is at least `line`"; both 1 without tasks."""
    if n == 0:
        return 1.0, 1.0
    return float(binom.sf(right - 1, n, line)), float(binom.cdf(right, n, line))


def binomial_interval(right: int, *, n: int, confidence: float) -> tuple[float, float]:
    """Clopper & Pearson, Biometrika 26:404-413 (1934); n at least 1."""
    tail = (1.0 - confidence) / 2.0
    low = float(betaincinv(right, n - right + 1, tail)) if right > 0 else 0.0
    high = float(betaincinv(right + 1, n - right, 1.0 - tail)) if right < n else 1.0
    return low, high


def score_p_values(scores: FloatArray, *, line: float) -> tuple[float, float]:
    """The same for the mean of independent scores in [0, 1], (n,), by betting.

    Wealth bet against the mean `line` is a non-negative martingale under it, so 1 / wealth is a p-value, whatever the
    scores' distribution; narrow scores are found out fast. Waudby-Smith & Ramdas, J R Stat Soc B 86:1-27 (2024).
    """
    if not len(scores):
        return 1.0, 1.0
    return 1.0 / max(_wealth(scores, line), 1.0), 1.0 / max(_wealth(1.0 - scores, 1.0 - line), 1.0)


def score_interval(scores: FloatArray, *, confidence: float) -> tuple[float, float]:
    """Means that a bet at this confidence does not exclude; contains the mean of the scores."""
    needed = 2.0 / (1.0 - confidence)
    mean = float(scores.mean())
    low = _boundary(scores, mean, needed)
    return low, 1.0 - _boundary(1.0 - scores, 1.0 - mean, needed)


def _wealth(scores: FloatArray, line: float) -> float:
    """Of one who bets that the mean is above `line`."""
    if line <= 0.0:
        return 1.0
    # The scores' order must not matter, so every bet is a constant share.
    steps = np.log1p(BETS[:, None] * (scores[None, :] / line - 1.0)).sum(axis=1)
    return float(np.exp(np.minimum(steps, 700.0)).mean())


def _boundary(scores: FloatArray, mean: float, needed: float) -> float:
    """Lowest mean not excluded, by bisection between 0 and the observed mean."""
    low, high = 0.0, mean
    for _ in range(SEARCH_ROUNDS):
        middle = (low + high) / 2.0
        if _wealth(scores, middle) >= needed:
            low = middle
        else:
            high = middle
    return low


def least_right(*, n: int, line: float, confidence: float) -> int | None:
    """Right answers of n that show a skill above `line`; None where even all of them do not."""
    right = np.arange(n + 1)
    showing = np.flatnonzero(binom.sf(right - 1, n, line) <= 1.0 - confidence)
    return int(showing[0]) if len(showing) else None


def most_right(*, n: int, line: float, confidence: float) -> int | None:
    """Most right answers of n that show a skill below `line`; None where even none of them does."""
    right = np.arange(n + 1)
    showing = np.flatnonzero(binom.cdf(right, n, line) <= 1.0 - confidence)
    return int(showing[-1]) if len(showing) else None

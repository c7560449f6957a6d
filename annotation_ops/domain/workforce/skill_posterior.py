"""Posteriors of many probabilities at once, each seen through answers whose correctness is only probably known.

Judgement i of a person with skill a has likelihood a * u_i + (1 - a) * v_i. The prior is a beta distribution whose mean and
weight are those of the crowd; both are integrated over a grid weighted by how well they explain everybody (hierarchical
Bayes; plugging in one estimate instead makes intervals too narrow in small crowds). Everything is quadrature on a logit grid
around each person's own mode: nothing is drawn, so no name or order can change a result.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, expit, logit

from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray

POINTS = 41
REACH = 6.0
"""Grid points, and standard deviations they reach to both sides of the mode."""
WIDEST = 1.6
"""Largest standard deviation on the logit scale: with no evidence the grid spans 1 in 15,000 to its complement."""
MODE_ROUNDS = 60
MODE_SETTLED = 1e-5
WEIGHTS = (2.0, 3.5, 6.0, 10.0, 18.0, 32.0, 60.0)
"""Judgements that the crowd may weigh in one person's estimate."""
MEAN_OFFSETS = np.linspace(-1.5, 1.5, 9)
"""Logits around the mean of the people's modes: means the crowd may have."""
LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Posteriors:
    """Beta distributions with the mean and variance of the posteriors, each array (people,)."""

    alpha: FloatArray
    beta: FloatArray
    own_alpha: FloatArray
    """The same under Jeffreys' prior, from the person's own judgements alone."""
    own_beta: FloatArray


def posteriors(
    who: IntArray,
    *,
    right: FloatArray,
    wrong: FloatArray,
    people: int,
    inflation: FloatArray,
    shared_variance: FloatArray,
) -> Posteriors:
    """`right` and `wrong` are u and v of each judgement, (n,); `who` is the person, (n,), below `people`.

    Every variance is multiplied by `inflation`, because u and v are estimates, then `shared_variance` is added for what is not
    known about the crowd as a whole; both (people,).
    """
    mode, deviation = _modes(who, right, wrong, people)
    eta = logit(mode)[:, None] + deviation[:, None] * np.linspace(-REACH, REACH, POINTS)
    likelihood = _likelihood(who, right, wrong, expit(eta))
    width = np.log(deviation)[:, None]
    seen = np.bincount(who, minlength=people) > 0
    own = _moments(expit(eta), likelihood + width + _log_prior(eta, 0.5, 0.5))
    crowd = _crowd(eta, likelihood + width, seen)
    alpha, beta = _as_beta(crowd[0], crowd[1] * inflation + shared_variance)
    own_alpha, own_beta = _as_beta(own[0], own[1] * inflation + shared_variance)
    return Posteriors(alpha, beta, own_alpha, own_beta)


def _modes(who: IntArray, right: FloatArray, wrong: FloatArray, people: int) -> tuple[FloatArray, FloatArray]:
    """Modes under one pseudo-judgement, half of it right, by EM, and their standard deviations on the logit scale."""
    n = np.bincount(who, minlength=people).astype(np.float64)
    value = np.full(people, 0.7)
    for _ in range(MODE_ROUNDS):
        before = value
        hit = _hit(value[who], right, wrong)
        value = (np.bincount(who, weights=hit, minlength=people) + 0.5) / (n + 1.0)
        if np.abs(value - before).max(initial=0.0) < MODE_SETTLED:
            break
    hit = _hit(value[who], right, wrong)
    # Louis: information of the complete data less that of the unknown correctness, on the logit scale.
    unsure = np.bincount(who, weights=hit * (1.0 - hit), minlength=people)
    information = (n + 1.0) * value * (1.0 - value) - unsure
    return value, np.minimum(1.0 / np.sqrt(np.maximum(information, LEAST)), WIDEST)


def _hit(value: FloatArray, right: FloatArray, wrong: FloatArray) -> FloatArray:
    good = value * right
    share: FloatArray = good / np.maximum(good + (1.0 - value) * wrong, 1e-300)
    return share


def _likelihood(who: IntArray, right: FloatArray, wrong: FloatArray, grid: FloatArray) -> FloatArray:
    """Log-likelihood of each person at each point of the person's own grid, (people, POINTS)."""
    columns = []
    for point in range(POINTS):
        value = grid[who, point]
        terms = np.log(np.maximum(value * right + (1.0 - value) * wrong, 1e-300))
        columns.append(np.bincount(who, weights=terms, minlength=len(grid)))
    return np.stack(columns, axis=1)


def _log_prior(eta: FloatArray, a: float, b: float) -> FloatArray:
    """Log-density of Beta(a, b) on the logit scale."""
    found: FloatArray = -a * np.logaddexp(0.0, -eta) - b * np.logaddexp(0.0, eta) - betaln(a, b)
    return found


def _moments(grid: FloatArray, logarithms: FloatArray) -> tuple[FloatArray, FloatArray]:
    weights = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    mean = (weights * grid).sum(axis=1)
    return mean, (weights * (grid - mean[:, None]) ** 2).sum(axis=1)


def _crowd(eta: FloatArray, likelihood: FloatArray, seen: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Means and variances, averaged over the crowd's mean and weight."""
    grid = expit(eta)
    centre = float(eta[seen, POINTS // 2].mean()) if seen.any() else 1.0
    scores, means, squares = [], [], []
    for weight in WEIGHTS:
        for crowd_mean in expit(np.clip(centre + MEAN_OFFSETS, -5.0, 5.0)).tolist():
            joint = likelihood + _log_prior(eta, weight * crowd_mean, weight * (1.0 - crowd_mean))
            top = joint.max(axis=1, keepdims=True)
            evidence = top[:, 0] + np.log(np.exp(joint - top).sum(axis=1))
            mean, variance = _moments(grid, joint)
            scores.append(float(evidence[seen].sum()))
            means.append(mean)
            squares.append(variance + mean**2)
    share = np.exp(np.array(scores) - max(scores))
    share /= share.sum()
    mean = np.tensordot(share, np.stack(means), axes=1)
    return mean, np.maximum(np.tensordot(share, np.stack(squares), axes=1) - mean**2, 1e-12)


def _as_beta(mean: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
    weight = np.maximum(mean * (1.0 - mean) / np.maximum(variance, 1e-12) - 1.0, 1e-3)
    return mean * weight, (1.0 - mean) * weight

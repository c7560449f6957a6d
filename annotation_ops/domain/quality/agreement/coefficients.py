"""The agreement coefficients, each over many weightings of the same answer patterns at once.

Every function takes patterns and weights (k, n_patterns) and returns (k,), NaN where the coefficient is undefined;
NaN stays inside this package: `agreement` turns it into a reason.
"""

from collections.abc import Callable, Mapping

import numpy as np

from annotation_ops.domain.quality.agreement.patterns import Patterns
from annotation_ops.domain.quality.judgements import FloatArray

Coefficient = Callable[[Patterns, FloatArray], FloatArray]

NO_CHANCE_LEFT = 1e-12
"""1 - chance agreement below this is rounding: everybody used one category."""


def percent_agreement(patterns: Patterns, weights: FloatArray) -> FloatArray:
    """Mean over tasks of the share of annotator pairs that agree; tasks with one judgement do not count."""
    counts, size, shared = _overlap(patterns, weights)
    return _ratio(shared @ (((counts**2).sum(axis=1) - size) / (size * (size - 1))), shared.sum(axis=1))


def cohen_kappa(patterns: Patterns, weights: FloatArray) -> FloatArray:
    """Cohen, Educ Psychol Meas 20:37-46 (1960)."""
    return _weighted_kappa(patterns, weights, 1.0 - np.eye(patterns.n_categories))


def weighted_kappa_linear(patterns: Patterns, weights: FloatArray) -> FloatArray:
    """Cohen, Psychol Bull 70:213-220 (1968), weights |i - j| in taxonomy order."""
    return _weighted_kappa(patterns, weights, _distance(patterns.n_categories))


def weighted_kappa_quadratic(patterns: Patterns, weights: FloatArray) -> FloatArray:
    """Cohen (1968), weights (i - j)^2; it rises with the number of categories."""
    return _weighted_kappa(patterns, weights, _distance(patterns.n_categories) ** 2)


def fleiss_kappa(patterns: Patterns, weights: FloatArray) -> FloatArray:
    """Fleiss, Psychol Bull 76:378-382 (1971), generalised to unequal numbers of judgements as by Gwet.

    Prevalence is the mean over tasks of the share of their judgements; for two annotators this is Scott's pi.
    """
    chance = (_prevalence(patterns, weights) ** 2).sum(axis=1)
    return _corrected(percent_agreement(patterns, weights), chance)


def gwet_ac1(patterns: Patterns, weights: FloatArray) -> FloatArray:
    """Gwet, Br J Math Stat Psychol 61:29-48 (2008); q is the number of categories of the taxonomy, used or not."""
    q = patterns.n_categories
    prevalence = _prevalence(patterns, weights)
    chance = (prevalence * (1.0 - prevalence)).sum(axis=1) / (q - 1) if q > 1 else np.ones(len(weights))
    return _corrected(percent_agreement(patterns, weights), chance)


def krippendorff_alpha_nominal(patterns: Patterns, weights: FloatArray) -> FloatArray:
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), distance 1 between different categories."""
    counts, size, shared = _overlap(patterns, weights)
    total = shared @ counts
    n = total.sum(axis=1)
    observed = shared @ ((size**2 - (counts**2).sum(axis=1)) / (size - 1))
    return _alpha(observed, n**2 - (total**2).sum(axis=1), n)


def krippendorff_alpha_interval(patterns: Patterns, weights: FloatArray) -> FloatArray:
    """Alpha with squared distance between positions in taxonomy order."""
    counts, size, shared = _overlap(patterns, weights)
    squared = _distance(patterns.n_categories) ** 2
    total = shared @ counts
    observed = shared @ (((counts @ squared) * counts).sum(axis=1) / (size - 1))
    return _alpha(observed, ((total @ squared) * total).sum(axis=1), total.sum(axis=1))


def krippendorff_alpha_ordinal(patterns: Patterns, weights: FloatArray) -> FloatArray:
    """Alpha with the ordinal distance: judgements between the two categories, in taxonomy order, half of each included."""
    counts, size, shared = _overlap(patterns, weights)
    total = shared @ counts
    middle = np.cumsum(total, axis=1) - total / 2.0
    observed = np.zeros(len(weights))
    expected = np.zeros(len(weights))
    # One row of the (q, q) distance at a time: all of them for all draws would be gigabytes.
    for label in range(patterns.n_categories):
        squared = (middle - middle[:, [label]]) ** 2
        pairs = shared @ (counts * counts[:, [label]] / (size - 1)[:, None])
        observed += (pairs * squared).sum(axis=1)
        expected += total[:, label] * (total * squared).sum(axis=1)
    return _alpha(observed, expected, total.sum(axis=1))


def class_agreement(patterns: Patterns, weights: FloatArray) -> FloatArray:
    """Specific agreement of every category, (k, n_categories): how often another annotator gives it too.

    2 x_cc / (x_c+ + x_+c) for two annotators (Cicchetti and Feinstein, J Clin Epidemiol 43:551-558, 1990).
    """
    counts, size, shared = _overlap(patterns, weights)
    agreeing = shared @ (counts * (counts - 1) / (size - 1)[:, None])
    return _ratio(agreeing, shared @ counts)


def prevalence_index(patterns: Patterns, weights: FloatArray) -> FloatArray:
    """0 when all categories of the taxonomy are equally frequent, 1 when one takes everything.

    sqrt((q sum pi^2 - 1) / (q - 1)), which for two categories is |pi_1 - pi_2| (Byrt, Bishop, Carlin, 1993).
    """
    q = patterns.n_categories
    if q == 1:
        return np.ones(len(weights))
    excess = (q * (_prevalence(patterns, weights) ** 2).sum(axis=1) - 1.0) / (q - 1)
    index: FloatArray = np.sqrt(np.maximum(excess, 0.0))
    return index


def bias_index(patterns: Patterns, weights: FloatArray) -> FloatArray:
    """Half the summed difference of the two annotators' category shares: |p_12 - p_21| for two categories."""
    first, second, _ = _margins(patterns, weights)
    index: FloatArray = np.abs(first - second).sum(axis=1) / 2.0
    return index


NOMINAL: Mapping[str, Coefficient] = {
    "percent_agreement": percent_agreement,
    "cohen_kappa": cohen_kappa,
    "fleiss_kappa": fleiss_kappa,
    "krippendorff_alpha_nominal": krippendorff_alpha_nominal,
    "gwet_ac1": gwet_ac1,
}
ORDINAL: Mapping[str, Coefficient] = {
    "weighted_kappa_linear": weighted_kappa_linear,
    "weighted_kappa_quadratic": weighted_kappa_quadratic,
    "krippendorff_alpha_ordinal": krippendorff_alpha_ordinal,
    "krippendorff_alpha_interval": krippendorff_alpha_interval,
}
ONE_PAIR = frozenset({"cohen_kappa", "weighted_kappa_linear", "weighted_kappa_quadratic"})
"""Defined only where exactly two annotators share tasks."""


def _overlap(patterns: Patterns, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    keep = patterns.size >= 2
    return patterns.counts[keep], patterns.size[keep], weights[:, keep]


def _prevalence(patterns: Patterns, weights: FloatArray) -> FloatArray:
    shares: FloatArray = weights @ (patterns.counts / patterns.size[:, None])
    return _ratio(shares, weights.sum(axis=1))


def _margins(patterns: Patterns, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Category shares of the first and second annotator (k, q), and the cell shares (k, n_overlap_patterns)."""
    if patterns.cells is None:
        raise ValueError("a table of two annotators needs patterns of one pair")
    keep = patterns.size >= 2
    shared = _ratio(weights[:, keep], weights[:, keep].sum(axis=1))
    identity = np.eye(patterns.n_categories)
    first, second = patterns.cells[keep].T
    return shared @ identity[first], shared @ identity[second], shared


def _weighted_kappa(patterns: Patterns, weights: FloatArray, distance: FloatArray) -> FloatArray:
    first, second, shared = _margins(patterns, weights)
    cells = patterns.cells[patterns.size >= 2] if patterns.cells is not None else np.empty((0, 2), dtype=np.int64)
    observed = shared @ distance[cells[:, 0], cells[:, 1]]
    expected = ((first @ distance) * second).sum(axis=1)
    return 1.0 - _ratio(observed, expected)


def _distance(q: int) -> FloatArray:
    position = np.arange(q, dtype=np.float64)
    return np.abs(position[:, None] - position[None, :])


def _corrected(observed: FloatArray, chance: FloatArray) -> FloatArray:
    return _ratio(observed - chance, 1.0 - chance)


def _alpha(observed: FloatArray, expected: FloatArray, n: FloatArray) -> FloatArray:
    # A draw may leave the overlap less than the two judgements of one task; alpha would then exceed 1.
    return 1.0 - _ratio(observed * n * (1.0 - 1.0 / np.maximum(n, 2.0)), expected)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Rows of the numerator over the denominator; NaN where that is (but for rounding) zero."""
    below = denominator[:, None] if numerator.ndim > denominator.ndim else denominator
    usable = np.broadcast_to(below > NO_CHANCE_LEFT, numerator.shape)
    ratio: FloatArray = np.full(numerator.shape, np.nan)
    np.divide(numerator, below, out=ratio, where=usable)
    return ratio

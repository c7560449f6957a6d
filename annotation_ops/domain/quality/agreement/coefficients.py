"""The agreement coefficients, each over many weightings of the same answer patterns at once.

Every function takes rows (answer patterns, or their sums over tasks) and weights (k, n_rows) and returns (k,), NaN where
the coefficient is undefined; NaN stays inside this package: `agreement` turns it into a reason.
"""

from collections.abc import Callable, Mapping

import numpy as np

from annotation_ops.domain.quality.agreement.patterns import Patterns
from annotation_ops.domain.quality.agreement.sums import Sums, middle_ranks, sums_of
from annotation_ops.domain.quality.judgements import FloatArray

Coefficient = Callable[[Patterns | Sums, FloatArray], FloatArray]

NO_CHANCE_LEFT = 1e-12
"""1 - chance agreement below this is rounding: everybody used one category."""


def percent_agreement(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """Mean over tasks of the share of annotator pairs that agree; tasks with one judgement do not count."""
    sums = sums_of(rows)
    return _ratio(weights @ sums.agreeing, weights @ sums.shared)


def cohen_kappa(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """Cohen, Educ Psychol Meas 20:37-46 (1960)."""
    sums = sums_of(rows)
    first, second = _margins(sums, weights)
    observed = 1.0 - _ratio(weights @ sums.agreeing, weights @ sums.shared)
    return 1.0 - _ratio(observed, 1.0 - (first * second).sum(axis=1))


def weighted_kappa_linear(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """Cohen, Psychol Bull 70:213-220 (1968), weights |i - j| in taxonomy order."""
    sums = sums_of(rows)
    first, second = _margins(sums, weights)
    below, other_below = np.cumsum(first, axis=1), np.cumsum(second, axis=1)
    expected = (below * (1.0 - other_below) + other_below * (1.0 - below)).sum(axis=1)
    return 1.0 - _ratio(_ratio(weights @ sums.steps, weights @ sums.shared), expected)


def weighted_kappa_quadratic(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """Cohen (1968), weights (i - j)^2; it rises with the number of categories."""
    sums = sums_of(rows)
    first, second = _margins(sums, weights)
    position = _positions(sums.n_categories)
    expected = (first + second) @ position**2 - 2.0 * (first @ position) * (second @ position)
    return 1.0 - _ratio(_ratio(weights @ sums.squares, weights @ sums.shared), expected)


def fleiss_kappa(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """Fleiss, Psychol Bull 76:378-382 (1971), generalised to unequal numbers of judgements as by Gwet.

    Prevalence is the mean over tasks of the share of their judgements; for two annotators this is Scott's pi.
    """
    chance = (_prevalence(sums_of(rows), weights) ** 2).sum(axis=1)
    return _corrected(percent_agreement(rows, weights), chance)


def brennan_prediger(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """Brennan and Prediger, Educ Psychol Meas 41:687-699 (1981): every category of the taxonomy equally likely by chance.

    For two categories this is PABAK, 2 p_o - 1 (Byrt, Bishop, Carlin, J Clin Epidemiol 46:423-429, 1993).
    """
    chance = np.full(len(weights), 1.0 / sums_of(rows).n_categories)
    return _corrected(percent_agreement(rows, weights), chance)


def gwet_ac1(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """Gwet, Br J Math Stat Psychol 61:29-48 (2008); q is the number of categories of the taxonomy, used or not."""
    return _corrected(percent_agreement(rows, weights), _hard_to_score(sums_of(rows), weights))


def gwet_ac2(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """Gwet, Handbook of Inter-Rater Reliability (2014), quadratic weights 1 - (i - j)^2 / (q - 1)^2 in taxonomy order."""
    sums = sums_of(rows)
    q = sums.n_categories
    # The mean of (i - j)^2 over all q^2 cells is (q^2 - 1) / 6.
    return _ac2(sums, weights, spread=sums.squares, widest=(q - 1.0) ** 2, mean=(q**2 - 1.0) / 6.0)


def gwet_ac2_linear(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """The same with linear weights 1 - |i - j| / (q - 1)."""
    sums = sums_of(rows)
    q = sums.n_categories
    # The mean of |i - j| over all q^2 cells is (q^2 - 1) / 3q.
    return _ac2(sums, weights, spread=sums.steps, widest=q - 1.0, mean=(q**2 - 1.0) / (3.0 * q))


def krippendorff_alpha_nominal(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), distance 1 between different categories."""
    sums = sums_of(rows)
    total = weights @ sums.answers
    n = total.sum(axis=1)
    # Rounding must not leave a trace of disagreement where there is none.
    observed = weights @ (sums.answers - sums.repeated).sum(axis=1)
    return _alpha(observed, n**2 - (total**2).sum(axis=1), n)


def krippendorff_alpha_interval(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """Alpha with squared distance between positions in taxonomy order."""
    sums = sums_of(rows)
    total = weights @ sums.answers
    position = np.broadcast_to(_positions(sums.n_categories), total.shape)
    return _alpha(weights @ sums.answer_squares, _expected_squares(total, position), total.sum(axis=1))


def krippendorff_alpha_ordinal(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """Alpha with the ordinal distance: judgements between the two categories, in taxonomy order, half of each included.

    Squared, it is the squared distance of mean ranks. Where rows are many tasks, every weighting uses the ranks of all
    tasks instead of its own.
    """
    sums = sums_of(rows)
    total = weights @ sums.answers
    n = total.sum(axis=1)
    if sums.counts is None and sums.middle is not None and sums.rank_squares is not None:
        fixed = np.broadcast_to(sums.middle, total.shape)
        return _alpha(weights @ sums.rank_squares, _expected_squares(total, fixed), n)
    middle = middle_ranks(total)
    return _alpha(_observed_squares(sums, weights, middle), _expected_squares(total, middle), n)


def class_agreement(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """Specific agreement of every category, (k, n_categories): how often another annotator gives it too.

    2 x_cc / (x_c+ + x_+c) for two annotators (Cicchetti and Feinstein, J Clin Epidemiol 43:551-558, 1990).
    """
    sums = sums_of(rows)
    return _ratio(weights @ sums.repeated, weights @ sums.answers)


def prevalence_index(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """0 when all categories of the taxonomy are equally frequent, 1 when one takes everything.

    sqrt((q sum pi^2 - 1) / (q - 1)), which for two categories is |pi_1 - pi_2| (Byrt, Bishop, Carlin, 1993).
    """
    sums = sums_of(rows)
    q = sums.n_categories
    if q == 1:
        return np.ones(len(weights))
    excess = (q * (_prevalence(sums, weights) ** 2).sum(axis=1) - 1.0) / (q - 1)
    index: FloatArray = np.sqrt(np.maximum(excess, 0.0))
    return index


def bias_index(rows: Patterns | Sums, weights: FloatArray) -> FloatArray:
    """Half the summed difference of the two annotators' category shares: |p_12 - p_21| for two categories."""
    first, second = _margins(sums_of(rows), weights)
    index: FloatArray = np.abs(first - second).sum(axis=1) / 2.0
    return index


NOMINAL: Mapping[str, Coefficient] = {
    "percent_agreement": percent_agreement,
    "cohen_kappa": cohen_kappa,
    "fleiss_kappa": fleiss_kappa,
    "krippendorff_alpha_nominal": krippendorff_alpha_nominal,
    "gwet_ac1": gwet_ac1,
    "brennan_prediger": brennan_prediger,
}
ORDINAL: Mapping[str, Coefficient] = {
    "weighted_kappa_linear": weighted_kappa_linear,
    "weighted_kappa_quadratic": weighted_kappa_quadratic,
    "krippendorff_alpha_ordinal": krippendorff_alpha_ordinal,
    "krippendorff_alpha_interval": krippendorff_alpha_interval,
    "gwet_ac2": gwet_ac2,
    "gwet_ac2_linear": gwet_ac2_linear,
}
ONE_PAIR = frozenset({"cohen_kappa", "weighted_kappa_linear", "weighted_kappa_quadratic"})
"""Defined only where exactly two annotators share tasks."""


def _prevalence(sums: Sums, weights: FloatArray) -> FloatArray:
    return _ratio(weights @ sums.shares, weights @ sums.tasks)


def _margins(sums: Sums, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Category shares of the first and second annotator, (k, q)."""
    if sums.first is None or sums.second is None:
        raise ValueError("a table of two annotators needs patterns of one pair")
    shared = weights @ sums.shared
    return _ratio(weights @ sums.first, shared), _ratio(weights @ sums.second, shared)


def _hard_to_score(sums: Sums, weights: FloatArray) -> FloatArray:
    """Chance agreement of AC1."""
    q = sums.n_categories
    if q == 1:
        return np.ones(len(weights))
    prevalence = _prevalence(sums, weights)
    chance: FloatArray = (prevalence * (1.0 - prevalence)).sum(axis=1) / (q - 1)
    return chance


def _ac2(sums: Sums, weights: FloatArray, *, spread: FloatArray, widest: float, mean: float) -> FloatArray:
    """AC2 of weights 1 - distance / widest, from their spread per row and mean distance over all cells."""
    if sums.n_categories == 1:
        return np.full(len(weights), np.nan)
    observed = 1.0 - _ratio(weights @ spread, weights @ sums.shared) / widest
    # T_w / (q (q - 1)) sum pi (1 - pi), where T_w / q^2 is the mean weight.
    chance = (1.0 - mean / widest) * sums.n_categories * _hard_to_score(sums, weights)
    return _corrected(observed, chance)


def _positions(q: int) -> FloatArray:
    return np.arange(q, dtype=np.float64)


def _observed_squares(sums: Sums, weights: FloatArray, middle: FloatArray) -> FloatArray:
    counts = sums.answers
    others = np.maximum(counts.sum(axis=1) - 1.0, 1.0)[:, None]
    observed = np.zeros(len(weights))
    # One row of the (q, q) distance at a time: all of them for all draws would be gigabytes.
    for label in range(sums.n_categories):
        pairs = weights @ (counts * counts[:, [label]] / others)
        observed += (pairs * (middle - middle[:, [label]]) ** 2).sum(axis=1)
    return observed


def _expected_squares(total: FloatArray, position: FloatArray) -> FloatArray:
    """Sum of squared distance over all ordered pairs of judgements, positions (k, q)."""
    n = np.maximum(total.sum(axis=1), NO_CHANCE_LEFT)
    centred = position - ((total * position).sum(axis=1) / n)[:, None]
    expected: FloatArray = 2.0 * n * (total * centred**2).sum(axis=1)
    return expected


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

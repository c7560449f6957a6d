"""Whether the label mix of a batch differs from the expected one: by more than chance, and by enough to matter.

A shift needs both a small p-value and an effect above a floor: with many labels any difference is significant, with few
a large one is chance. Labels that active learning chose stand for others in inverse proportion to their inclusion
probability; weighted mixes are tested by drawing labels and weights again from the batch itself, tilted to the null
hypothesis.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import FloatArray, IntArray
from annotation_ops.domain.quality.statistic import rounded
from annotation_ops.domain.records import JsonObject

FEW_LABELS = 10.0
"""Effective labels below which nothing is said: a tenth of the labels or more would hang on one of them."""

FEW_WEIGHTED = 30.0
"""The same for weighted labels, whose weights must themselves be estimated."""

ENOUGH = 5.0
"""Expected labels in every cell from which the chi-square distribution holds (Cochran, Biometrics 10:417-451, 1954)."""

REDRAWS = 4_999
"""Batches drawn under the null hypothesis where it does not; the smallest p-value is then 0.0002."""

PSEUDO_COUNT = 0.5
"""Labels added to every class for the stability index (Jeffreys), which is infinite when a class is missing."""

WEIGHT_STEP = 1.05
"""Weights within 5 % of each other are drawn as one."""

CHUNK_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class MixTest:
    """`shifted` only if `p_value` < alpha and `effect` > min_effect; with a `reason` there is no number at all."""

    n: int
    """Labels of the batch."""
    effective_n: float
    """Labels that would say as much with equal weights (Kish)."""
    method: str | None
    """`chi_square`, `monte_carlo` (drawn from the expected mix, or permuted), or `weighted_bootstrap`."""
    statistic: float | None
    """Pearson's chi-square; of weighted mixes, at the effective number of labels."""
    df: int
    p_value: float | None
    effect: float | None
    """Cramer's V between the two mixes at equal totals: 0 the same, 1 no class in common, whatever the sample sizes."""
    jensen_shannon: float | None
    """Squared distance in bits, 0 to 1."""
    stability_index: float | None
    """Population stability index, with half a label added to every class."""
    stability_limit: float | None
    """What chance alone exceeds with probability alpha at these sample sizes."""
    alpha: float
    min_effect: float
    shifted: bool
    reason: str | None
    """`too_few_labels` or `too_few_reference_labels`."""
    text: str
    """One sentence for a manager."""

    def document(self) -> JsonObject:
        return {
            "n": self.n,
            "effective_n": rounded(self.effective_n),
            "method": self.method,
            "statistic": rounded(self.statistic),
            "df": self.df,
            "p_value": rounded(self.p_value),
            "effect": rounded(self.effect),
            "jensen_shannon": rounded(self.jensen_shannon),
            "stability_index": rounded(self.stability_index),
            "stability_limit": rounded(self.stability_limit),
            "alpha": self.alpha,
            "min_effect": self.min_effect,
            "shifted": self.shifted,
            "reason": self.reason,
        }


def compare_mix(
    labels: IntArray,
    *,
    expected: FloatArray,
    weights: FloatArray | None = None,
    alpha: float = 0.01,
    min_effect: float = 0.1,
    seed: int,
) -> MixTest:
    """Labels (n,) as positions of categories against expected shares (q,) that sum to 1.

    `weights` (n,) are inverse inclusion probabilities. A class expected with less than half a label counts as half a label,
    so that one label of an impossible class is not infinite evidence. Raises InvalidInput on labels outside the
    categories, shares that are no distribution and weights that are not positive.
    """
    q = len(expected)
    _check_shares(expected)
    batch = _sample(labels, weights, q, alpha=alpha, min_effect=min_effect)
    if batch.too_few:
        return _unknown(batch, q, "too_few_labels", alpha, min_effect)
    shares = np.maximum(expected, PSEUDO_COUNT / batch.n)
    shares = shares / shares.sum()
    generator = np.random.default_rng(seed)
    observed = _pearson(batch.mix[None, :], shares) * batch.effective_n
    used = np.flatnonzero((expected > 0) | (batch.mix > 0))
    df = max(len(used) - 1, 1)
    if batch.weighted:
        drawn = _pearson(batch.redrawn(shares, generator), shares) * batch.effective_n
        method, p_value = "weighted_bootstrap", _exceeding(drawn, observed)
    elif float((shares[used] * batch.n).min()) >= ENOUGH:
        method, p_value = "chi_square", float(chi2.sf(observed[0], df))
    else:
        drawn = _pearson(generator.multinomial(batch.n, shares, size=REDRAWS) / batch.n, shares) * batch.n
        method, p_value = "monte_carlo", _exceeding(drawn, observed)
    return _answer(batch, shares, None, method, float(observed[0]), df, p_value, alpha, min_effect)


def compare_mixes(
    labels: IntArray,
    reference: IntArray,
    *,
    weights: FloatArray | None = None,
    reference_weights: FloatArray | None = None,
    q: int,
    alpha: float = 0.01,
    min_effect: float = 0.1,
    seed: int,
) -> MixTest:
    """Labels (n,) against reference labels (m,), both as positions of `q` categories; otherwise as `compare_mix`."""
    batch = _sample(labels, weights, q, alpha=alpha, min_effect=min_effect)
    other = _sample(reference, reference_weights, q, alpha=alpha, min_effect=min_effect)
    if batch.too_few or other.too_few:
        reason = "too_few_labels" if batch.too_few else "too_few_reference_labels"
        return _unknown(batch, q, reason, alpha, min_effect)
    generator = np.random.default_rng(seed)
    sizes = (batch.effective_n, other.effective_n)
    pooled = (batch.mix * sizes[0] + other.mix * sizes[1]) / sum(sizes)
    observed = _homogeneity(batch.mix[None, :], other.mix[None, :], sizes)
    used = np.flatnonzero(pooled > 0)
    df = max(len(used) - 1, 1)
    if batch.weighted or other.weighted:
        drawn = _homogeneity(batch.redrawn(pooled, generator), other.redrawn(pooled, generator), sizes)
        method, p_value = "weighted_bootstrap", _exceeding(drawn, observed)
    elif float(pooled[used].min()) * min(sizes) >= ENOUGH:
        method, p_value = "chi_square", float(chi2.sf(observed[0], df))
    else:
        total = np.bincount(np.concatenate([labels, reference]), minlength=q)
        first = generator.multivariate_hypergeometric(total, batch.n, size=REDRAWS)
        drawn = _homogeneity(first / batch.n, (total - first) / other.n, sizes)
        method, p_value = "monte_carlo", _exceeding(drawn, observed)
    return _answer(batch, other.mix, other.effective_n, method, float(observed[0]), df, p_value, alpha, min_effect)


def jensen_shannon(first: FloatArray, second: FloatArray) -> float:
    """Squared Jensen-Shannon distance in bits (Lin, IEEE Trans Inf Theory 37:145-151, 1991), 0 to 1."""
    middle = (first + second) / 2.0
    parts = [one[one > 0] @ np.log2(one[one > 0] / middle[one > 0]) for one in (first, second)]
    return max(0.0, float(sum(parts)) / 2.0)


def stability_index(first: FloatArray, second: FloatArray) -> float:
    """Population stability index: the symmetric Kullback-Leibler divergence; both must be positive everywhere."""
    return float(((first - second) * np.log(first / second)).sum())


def mix_effect(first: FloatArray, second: FloatArray) -> float:
    """Cramer's V of the table of both mixes with equal totals."""
    total = first + second
    used = total > 0
    return float(np.sqrt((((first - second)[used] ** 2) / total[used]).sum() / 2.0))


@dataclass(frozen=True, slots=True)
class _Sample:
    """Labels with equal weights, or groups of labels of one class and nearly one weight."""

    n: int
    effective_n: float
    mix: FloatArray
    """(q,) weighted shares."""
    weighted: bool
    label: IntArray
    weight: FloatArray
    count: IntArray
    """All three (groups,)."""

    @property
    def too_few(self) -> bool:
        return self.effective_n < (FEW_WEIGHTED if self.weighted else FEW_LABELS)

    def redrawn(self, shares: FloatArray, generator: np.random.Generator) -> FloatArray:
        """(REDRAWS, q): weighted mixes of batches drawn with the weights that each class has here, and with these shares.

        A class that nobody gave is drawn with the mean weight.
        """
        q = len(shares)
        if not self.weighted:
            return generator.multinomial(self.n, shares, size=REDRAWS) / self.n
        mass = np.bincount(self.label, weights=self.weight * self.count, minlength=q)
        absent = np.flatnonzero(mass == 0)
        mean = float((self.weight * self.count).sum() / self.n)
        label = np.concatenate([self.label, absent])
        weight = np.concatenate([self.weight, np.full(len(absent), mean)])
        chance = np.concatenate([self.count * shares[self.label] / mass[self.label], shares[absent] / mean])
        classes = np.zeros((len(label), q))
        classes[np.arange(len(label)), label] = weight
        chance = chance / chance.sum()
        rows = max(1, CHUNK_CELLS // len(label))
        parts = [
            generator.multinomial(self.n, chance, size=min(rows, REDRAWS - start)) @ classes
            for start in range(0, REDRAWS, rows)
        ]
        drawn = np.concatenate(parts)
        mixes: FloatArray = drawn / drawn.sum(axis=1, keepdims=True)
        return mixes


def _sample(labels: IntArray, weights: FloatArray | None, q: int, *, alpha: float, min_effect: float) -> _Sample:
    _check_levels(alpha, min_effect)
    _check_labels(labels, q)
    n = len(labels)
    if weights is None or n == 0 or bool(np.all(weights == weights[0])):
        _check_weights(weights, n)
        counts = np.bincount(labels, minlength=q)
        mix = counts / max(n, 1)
        return _Sample(n, float(n), mix, False, np.arange(q), np.ones(q), counts.astype(np.int64))
    _check_weights(weights, n)
    step = np.round(np.log(weights / weights.min()) / np.log(WEIGHT_STEP)).astype(np.int64)
    pairs, which, count = np.unique(np.stack([labels, step]), axis=1, return_inverse=True, return_counts=True)
    weight = np.bincount(which.ravel(), weights=weights) / count
    mix = np.bincount(labels, weights=weights, minlength=q) / weights.sum()
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    return _Sample(n, effective, mix, True, pairs[0].astype(np.int64), weight, count.astype(np.int64))


def _pearson(mixes: FloatArray, shares: FloatArray) -> FloatArray:
    """(k,): Pearson's statistic per label of mixes (k, q)."""
    statistic: FloatArray = ((mixes - shares) ** 2 / shares).sum(axis=1)
    return statistic


def _homogeneity(first: FloatArray, second: FloatArray, sizes: tuple[float, float]) -> FloatArray:
    """(k,): Pearson's statistic of the two-row table with these totals."""
    pooled = (first * sizes[0] + second * sizes[1]) / sum(sizes)
    squares = (first - second) ** 2 / np.maximum(pooled, np.finfo(np.float64).tiny)
    statistic: FloatArray = squares.sum(axis=1) * sizes[0] * sizes[1] / sum(sizes)
    return statistic


def _exceeding(drawn: FloatArray, observed: FloatArray) -> float:
    # Draws that tie with the observation may differ from it by rounding.
    return float((drawn >= observed[0] * (1.0 - 1e-9)).sum() + 1) / (len(drawn) + 1)


def _answer(
    batch: _Sample,
    other: FloatArray,
    other_n: float | None,
    method: str,
    statistic: float,
    df: int,
    p_value: float,
    alpha: float,
    min_effect: float,
) -> MixTest:
    effect = mix_effect(batch.mix, other)
    shifted = p_value < alpha and effect > min_effect
    spread = 1.0 / batch.effective_n + (0.0 if other_n is None else 1.0 / other_n)
    smooth = [_smoothed(batch.mix, batch.effective_n), other if other_n is None else _smoothed(other, other_n)]
    return MixTest(
        n=batch.n,
        effective_n=batch.effective_n,
        method=method,
        statistic=statistic,
        df=df,
        p_value=p_value,
        effect=effect,
        jensen_shannon=jensen_shannon(batch.mix, other),
        stability_index=stability_index(smooth[0], smooth[1]),
        # Under the null the index is the chi-square statistic times 1/n + 1/m (Yurdakul and Naranjo, 2020).
        stability_limit=float(chi2.isf(alpha, df)) * spread,
        alpha=alpha,
        min_effect=min_effect,
        shifted=shifted,
        reason=None,
        text=_sentence(batch, p_value, effect, alpha, min_effect),
    )


def _smoothed(mix: FloatArray, n: float) -> FloatArray:
    smooth: FloatArray = (mix * n + PSEUDO_COUNT) / (n + PSEUDO_COUNT * len(mix))
    return smooth


def _sentence(batch: _Sample, p_value: float, effect: float, alpha: float, min_effect: float) -> str:
    numbers = f"difference {effect:.2f}, p {p_value:.2g}, {batch.n} labels"
    if p_value >= alpha:
        return f"The label mix is as expected as far as chance allows to tell ({numbers})."
    if effect <= min_effect:
        return f"The label mix differs from the expected one, but by less than the {min_effect:g} that matters ({numbers})."
    return f"The label mix is not the expected one ({numbers}); chance alone would rarely do this."


def _unknown(batch: _Sample, q: int, reason: str, alpha: float, min_effect: float) -> MixTest:
    whose = "The batch" if reason == "too_few_labels" else "What it is compared with"
    text = f"{whose} has too few labels to say anything about the label mix."
    missing = (None, None, None, None, None, None)
    statistic, p_value, effect, divergence, index, limit = missing
    return MixTest(
        batch.n, batch.effective_n if batch.n else 0.0, None, statistic, max(q - 1, 0), p_value, effect, divergence, index,
        limit, alpha, min_effect, shifted=False, reason=reason, text=text,
    )  # fmt: skip


def _check_levels(alpha: float, min_effect: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise InvalidInput(f"alpha: found {alpha:g}, expected between 0 and 1. Use 0.01.")
    if not 0.0 <= min_effect <= 1.0:
        raise InvalidInput(f"min_effect: found {min_effect:g}, expected from 0 to 1. Use 0.1.")


def _check_labels(labels: IntArray, q: int) -> None:
    outside = np.flatnonzero((labels < 0) | (labels >= q))
    if len(outside):
        raise InvalidInput(
            f"label {outside[0] + 1}: found position {labels[outside[0]]}, expected 0 to {q - 1}. Use the taxonomy's order."
        )


def _check_weights(weights: FloatArray | None, n: int) -> None:
    if weights is None:
        return
    if len(weights) != n:
        raise InvalidInput(f"weights: found {len(weights)}, expected {n}, one a label. Pass one each.")
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))
    if len(wrong):
        raise InvalidInput(
            f"weight {wrong[0] + 1}: found {weights[wrong[0]]}, expected above 0. It is 1 / the inclusion probability."
        )


def _check_shares(expected: FloatArray) -> None:
    if len(expected) < 2 or bool((expected < 0).any()) or abs(float(expected.sum()) - 1.0) > 1e-6:
        raise InvalidInput(
            f"expected mix: found {expected.tolist()}, expected two or more shares of 0 or more that sum to 1. Correct them."
        )

"""Intervals for statistics that are a ratio of sums over tasks: boxes, masks, spans, texts.

The task is the sampling unit, never the box or the token: boxes of one image succeed and fail together. Tasks get the
random weights of the Bayesian bootstrap (Rubin, Ann Stat 9:130-134, 1981).
"""

import numpy as np

from annotation_ops.domain.quality.agreement.intervals import pseudo_task, task_precision
from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.quality.statistic import Statistic, undefined, with_draws

GROUPS = 4096
"""More different tasks than this are merged with their neighbours in residual, which keeps a million tasks below a second;
what the merging takes from the variance is below 1e-4 of it."""

CHUNK_CELLS = 4_000_000
"""Weights drawn at a time: 32 MB."""


def ratio_draws(numerator: FloatArray, denominator: FloatArray, *, seed: int, draws: int) -> FloatArray:
    """Posterior draws, (draws,), of sum(numerator) / sum(denominator) over tasks, each array (n_tasks,).

    For ratios within [0, 1]; a mean of per-task values is the case of all denominators 1. Tasks of denominator 0 say
    nothing and are left out; needs at least one other. The order of tasks does not matter.
    """
    values, weight = _grouped(numerator, denominator)
    mean = float(weight @ values[:, 1] / weight.sum())
    precision = task_precision(float(weight.sum()))
    generator = np.random.default_rng(seed)
    rows = max(1, CHUNK_CELLS // len(weight))
    drawn = []
    for start in range(0, draws, rows):
        k = min(rows, draws - start)
        sums = generator.standard_gamma(weight * precision, size=(k, len(weight))) @ values / precision
        nothing, everything = mean * pseudo_task(generator, (k,)), mean * pseudo_task(generator, (k,))
        drawn.append((sums[:, 0] + everything) / (sums[:, 1] + everything + nothing))
    return np.concatenate(drawn)


def ratio_statistic(
    numerator: FloatArray, denominator: FloatArray, *, confidence: float, seed: int, draws: int
) -> tuple[Statistic, FloatArray]:
    """The ratio with its interval, and its draws; `no_overlap` and no draws where no task has a denominator."""
    n = int((denominator > 0).sum())
    if n == 0:
        return undefined("no_overlap", n=0), np.empty(0)
    drawn = ratio_draws(numerator, denominator, seed=seed, draws=draws)
    value = float(np.sort(numerator[denominator > 0]).sum() / np.sort(denominator[denominator > 0]).sum())
    return with_draws(value, draws=drawn, confidence=confidence, n=n), drawn


def _grouped(numerator: FloatArray, denominator: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Different (numerator, denominator) pairs, (k, 2), in canonical order and the number of tasks of each, (k,)."""
    said = denominator > 0
    values, counts = np.unique(np.stack([numerator[said], denominator[said]], axis=1), axis=0, return_counts=True)
    weight = counts.astype(np.float64)
    if len(values) <= GROUPS:
        return values, weight
    total = weight @ values
    order = np.argsort(values[:, 0] - total[0] / total[1] * values[:, 1], kind="stable")
    starts = np.linspace(0, len(values), GROUPS, endpoint=False).astype(np.int64)
    merged = np.add.reduceat(weight[order], starts)
    sums = np.add.reduceat((weight[:, None] * values)[order], starts, axis=0)
    return sums / merged[:, None], merged

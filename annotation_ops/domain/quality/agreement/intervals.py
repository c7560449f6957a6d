"""Random weights on answer patterns: the base of every interval of categorical agreement.

Every coefficient is a function of how often each answer pattern occurs, so resampling tasks is drawing pattern
frequencies, as the Bayesian bootstrap does (Rubin, Ann Stat 9:130-134, 1981). Alone it says that what was not seen does
not exist: no disagreement among 30 tasks would give an interval of width 0. So each draw adds, by the toss of a coin, one
pseudo-task on which all agree and one on which they do not. For a count d of disagreements that is a draw from
Gamma(d) or Gamma(d + 1), between the two bounds of the exact interval (the mid-P idea of Lancaster, JASA 56:223-234,
1961): with none seen the 95% interval ends at 3.2 / n, the rule of three. Coverage is in docs/quality-evidence.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.quality.agreement.patterns import Patterns
from annotation_ops.domain.quality.judgements import FloatArray, IntArray

UNSEEN_TASK = 0.6
"""Probability that a draw holds a pseudo-task. For a Poisson count the coverage of a 95% interval is then at least 92.7%
whatever its mean; at 0.5 it is 91.7%, at 0.8 89.8%, and 87.8% for a pseudo-task of weight 0.6 in every draw."""

EVENLY_SPREAD = 0.5
"""Share of the disagreeing pseudo-task that goes to all categories alike, the rest following their prevalence."""

ALL_CELLS = 16
"""Categories up to which the disagreeing pseudo-task covers every pair of them; beyond, a fixed sample of pairs, so that
cost stays linear in the categories."""

SAMPLED_CELLS = 64
GOLDEN = 0.6180339887498949
"""Steps of the golden ratio spread evenly over [0, 1) at every length."""

LOST_TASKS = 3.0
"""Tasks taken from n when their weights are drawn: the wider tails that Student's t has over the normal, and the skew of
a ratio, which plain weights leave out (90-92% at 30 tasks of five annotators)."""

CHUNK_CELLS = 4_000_000
"""Weights drawn at a time: 32 MB."""


@dataclass(frozen=True, slots=True)
class PatternsWithPrior(Patterns):
    """Observed patterns, then those of the agreeing pseudo-task, then those of the disagreeing one.

    `weight` of the last two sums to UNSEEN_TASK each: their mean over the draws.
    """

    observed: int
    """Patterns that are not pseudo-tasks."""


def with_prior(patterns: Patterns) -> PatternsWithPrior:
    """The patterns and the pseudo-tasks; needs at least one task with two judgements."""
    shared = patterns.size >= 2
    judgements = max(2, round(float(np.average(patterns.size[shared], weights=patterns.weight[shared]))))
    answers = patterns.weight[shared] @ patterns.counts[shared]
    prior = _pseudo_tasks(answers / answers.sum(), judgements=judgements)
    cells = None if patterns.cells is None or prior.cells is None else np.concatenate([patterns.cells, prior.cells])
    return PatternsWithPrior(
        np.concatenate([patterns.counts, prior.counts]),
        np.concatenate([patterns.weight, prior.weight]).astype(np.float64),
        cells,
        len(patterns.weight),
    )


def drawn_weights(patterns: PatternsWithPrior, *, seed: int, draws: int) -> Iterator[FloatArray]:
    """Chunks (k, n_patterns) of random weights, each row summing to the tasks and pseudo-tasks; `draws` rows in all."""
    generator = np.random.default_rng(seed)
    q, start = patterns.n_categories, patterns.observed
    tasks = patterns.weight[:start]
    precision = task_precision(float(tasks[patterns.size[:start] >= 2].sum()))
    rows = max(1, CHUNK_CELLS // len(patterns.weight))
    for first in range(0, draws, rows):
        k = min(rows, draws - first)
        weights = np.zeros((k, len(patterns.weight)))
        weights[:, :start] = generator.standard_gamma(tasks * precision, size=(k, start)) / precision
        for part in (slice(start, start + q), slice(start + q, len(patterns.weight))):
            _add_pseudo_task(weights[:, part], patterns.weight[part], generator=generator)
        yield weights * (patterns.weight.sum() / weights.sum(axis=1, keepdims=True))


def task_precision(tasks: float) -> float:
    """Shape of the gamma weight of one task among so many; the weight's variance is its inverse."""
    return max(0.25, 1.0 - LOST_TASKS / tasks)


def pseudo_task(generator: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Weights of a pseudo-task that is there with probability UNSEEN_TASK."""
    weight: FloatArray = generator.standard_exponential(shape) * (generator.random(shape) < UNSEEN_TASK)
    return weight


def class_draws(patterns: PatternsWithPrior, weights: FloatArray, *, generator: np.random.Generator) -> FloatArray:
    """Draws of the specific agreement of every category, (k, n_categories); NaN where nobody gave it.

    A class has an unseen disagreement of its own, however many other classes there are: the common pseudo-task, shared
    by all of them, would leave a rare class with none.
    """
    data = np.flatnonzero(patterns.size[: patterns.observed] >= 2)
    counts, size = patterns.counts[data], patterns.size[data]
    given = weights[:, data] @ counts
    agreeing = weights[:, data] @ (counts * (counts - 1.0) / (size - 1.0)[:, None])
    whole = float(patterns.size[-1])
    half = whole / 2.0
    all_agree = whole * pseudo_task(generator, given.shape)
    some_agree = half * pseudo_task(generator, given.shape)
    with np.errstate(invalid="ignore"):
        drawn = (agreeing + all_agree + some_agree * (half - 1.0) / (whole - 1.0)) / (given + all_agree + some_agree)
    drawn[:, ~(counts > 0).any(axis=0)] = np.nan
    return drawn


def _add_pseudo_task(weights: FloatArray, share: FloatArray, *, generator: np.random.Generator) -> None:
    """Gives one pattern of each draw, by its share, the weight of the pseudo-task."""
    k = len(weights)
    if len(share):
        upto = np.cumsum(share)
        at = np.minimum(np.searchsorted(upto, generator.random(k) * upto[-1], side="right"), len(share) - 1)
        weights[np.arange(k), at] = pseudo_task(generator, (k,))


def _pseudo_tasks(prevalence: FloatArray, *, judgements: int) -> Patterns:
    """One task on which all agree, any category alike, and one on which they split into two halves."""
    q = len(prevalence)
    identity = np.eye(q)
    same = np.stack([np.arange(q), np.arange(q)], axis=1)
    different, share = _split_cells((1.0 - EVENLY_SPREAD) * prevalence + EVENLY_SPREAD / q)
    cells = np.concatenate([same, different])
    minority = judgements // 2
    counts = (judgements - minority) * identity[cells[:, 0]] + minority * identity[cells[:, 1]]
    weight = UNSEEN_TASK * np.concatenate([np.full(q, 1.0 / q), share])
    return Patterns(counts, weight, cells.astype(np.int64))


def _split_cells(prevalence: FloatArray) -> tuple[IntArray, FloatArray]:
    """Pairs of different categories, (k, 2), and their shares as if two people answered independently."""
    q = len(prevalence)
    if q <= ALL_CELLS:
        cells = np.argwhere(~np.eye(q, dtype=np.bool_))
        share = prevalence[cells[:, 0]] * prevalence[cells[:, 1]]
    else:
        step = np.arange(SAMPLED_CELLS)
        upto = np.cumsum(prevalence)
        at = [(step + 0.5) / SAMPLED_CELLS, (step * GOLDEN) % 1.0]
        first, second = (np.minimum(np.searchsorted(upto, place), q - 1) for place in at)
        one_way = np.stack([first, second], axis=1)[first != second]
        cells = np.concatenate([one_way, one_way[:, ::-1]])
        share = np.ones(len(cells))
    return cells.astype(np.int64), share / share.sum() if len(share) else share

"""What is drawn for the intervals: every answer pattern where they are few, random groups of tasks where they are many."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from annotation_ops.domain.quality.agreement.intervals import PatternsWithPrior, class_draws, drawn_weights, with_prior
from annotation_ops.domain.quality.agreement.patterns import Answers, Patterns, answers_of, dense_patterns
from annotation_ops.domain.quality.agreement.sums import GROUPS, Sums, grouped, joined, sums_of
from annotation_ops.domain.quality.judgements import FloatArray, Judgements

DENSE_CELLS = 1 << 23
"""Patterns x categories that may be held as one table: 64 MB."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The tasks of a batch as rows of sums, and how often each row counts."""

    sums: Sums
    weight: FloatArray
    """(n_rows,)"""
    patterns: Patterns
    """The patterns that are the rows, or in place of random groups a summary with the same sizes and prevalence."""
    dealt: bool
    """Rows are random groups of tasks."""

    @property
    def n_overlap(self) -> int:
        return round(float(self.weight @ self.sums.shared))

    @property
    def paired(self) -> bool:
        """Whether exactly two annotators share tasks."""
        return self.sums.first is not None


@dataclass(frozen=True, slots=True)
class Draw:
    """Some draws: weights (k, n_rows) of the rows, and the class agreement (k, n_categories) of each."""

    sums: Sums
    weights: FloatArray
    class_agreement: FloatArray


def observe(judgements: Judgements, *, seed: int) -> Observed:
    """The rows of a batch; memory is bounded whatever the tasks, their judgements and the categories."""
    parts, q = answers_of(judgements), len(judgements.categories)
    n_patterns = sum(len(part.weight) for part in parts)
    if n_patterns <= GROUPS and n_patterns * q <= DENSE_CELLS:
        patterns = dense_patterns(parts, q=q)
        return Observed(sums_of(patterns), patterns.weight, patterns, dealt=False)
    sums = grouped(parts, q=q, seed=seed)
    return Observed(sums, np.ones(GROUPS), _summary(parts, sums), dealt=True)


def _summary(parts: tuple[Answers, ...], sums: Sums) -> Patterns:
    """One row for each number of judgements, all of the batch's prevalence."""
    size = np.array([part.labels.shape[1] for part in parts], dtype=np.float64)
    weight = np.array([part.weight.sum() for part in parts], dtype=np.float64)
    total = sums.answers.sum(axis=0)
    # A rounding above, so that two judgements never count as fewer.
    counts = size[:, None] * (total / max(float(total.sum()), 1.0)) * (1.0 + 1e-9)
    cells = None if sums.first is None else np.zeros((len(size), 2), dtype=np.int64)
    return Patterns(counts, weight, cells)


def drawn(observed: Observed, *, seed: int, draws: int) -> Iterator[Draw]:
    """Chunks of `draws` draws in all; needs at least one task with two judgements."""
    widened = with_prior(observed.patterns)
    sums = sums_of(widened)
    if observed.dealt:
        widened, sums = _dealt(observed, widened)
    generator = np.random.default_rng([seed, 1])
    for weights in drawn_weights(widened, seed=seed, draws=draws):
        table, drawn_table = _per_class(sums, widened, weights) if observed.dealt else (widened, weights)
        classes = class_draws(table, drawn_table, generator=generator)[:, : sums.n_categories]
        yield Draw(sums, weights, classes)


def _dealt(observed: Observed, widened: PatternsWithPrior) -> tuple[PatternsWithPrior, Sums]:
    """The groups, each counted once, with the pseudo-tasks below them."""
    added = slice(widened.observed, None)
    cells = None if widened.cells is None else widened.cells[added]
    sums = joined(observed.sums, Patterns(widened.counts[added], widened.weight[added], cells))
    weight = np.concatenate([np.ones(GROUPS), widened.weight[added]])
    return replace(widened, counts=sums.answers, weight=weight, cells=None, observed=GROUPS), sums


def _per_class(sums: Sums, widened: PatternsWithPrior, weights: FloatArray) -> tuple[PatternsWithPrior, FloatArray]:
    """Patterns and weights with the class agreement of the groups: of each category, tasks where two agree on it, and
    tasks where one gives it and another something else (a last column)."""
    q = sums.n_categories
    data = slice(0, widened.observed)
    agreeing = weights[:, data] @ sums.repeated[data]
    given = weights[:, data] @ sums.answers[data]
    other = np.zeros((1, q + 1))
    other[0, q] = 1.0
    single = np.eye(q, q + 1)
    last = np.append(widened.counts[-1], 0.0)
    table = replace(
        widened,
        counts=np.concatenate([2.0 * single, single + other, last[None, :]]),
        weight=np.ones(2 * q + 1),
        observed=2 * q,
    )
    return table, np.concatenate([agreeing / 2.0, given - agreeing, np.zeros((len(weights), 1))], axis=1)

"""What the coefficients are functions of: sums over tasks. One row is one answer pattern, or many tasks drawn together."""

from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.quality.agreement.patterns import Answers, Patterns
from annotation_ops.domain.quality.judgements import BLOCK, BoolArray, FloatArray, IntArray

GROUPS = 4096
"""Rows into which tasks are dealt at random when they show more patterns than that. The variance of the intervals is then
itself estimated from 4096 independent parts: 1.1% standard error on their width, below that of 2,000 draws."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the tasks of each row; shapes (n_rows,) and (n_rows, n_categories).

    "Shared" are tasks with two judgements or more; m is the number of judgements of a task.
    """

    tasks: FloatArray
    shared: FloatArray
    agreeing: FloatArray
    """Share of annotator pairs that agree."""
    steps: FloatArray
    """Mean |i - j| over annotator pairs, in positions of taxonomy order."""
    squares: FloatArray
    """Mean (i - j)^2 over annotator pairs."""
    answer_squares: FloatArray
    """m times the mean (i - j)^2."""
    shares: FloatArray
    """Share of the judgements that give each category, single judgements included."""
    answers: FloatArray
    """Judgements of each category on shared tasks."""
    repeated: FloatArray
    """Judgements of each category on shared tasks, each times the share of the others who give it too."""
    present: FloatArray
    """Shared tasks where anybody gives the category."""
    first: FloatArray | None
    second: FloatArray | None
    """Judgements of each of two annotators on shared tasks; None unless exactly two share tasks."""
    counts: FloatArray | None
    """Judgements of each category where a row is one pattern; None where it is many tasks."""
    rank_squares: FloatArray | None
    """As `answer_squares` on the positions `middle`; None where `counts` are known."""
    middle: FloatArray | None
    """(n_categories,) mean ranks of the categories' judgements."""

    @property
    def n_categories(self) -> int:
        return int(self.answers.shape[1])


def sums_of(rows: Patterns | Sums) -> Sums:
    """The sums of each pattern, counted once whatever its weight."""
    return rows if isinstance(rows, Sums) else _of_patterns(rows)


def _of_patterns(patterns: Patterns, *, middle: FloatArray | None = None) -> Sums:
    counts, size = patterns.counts, patterns.size
    shared = (size >= 2).astype(np.float64)
    others = np.maximum(size - 1.0, 1.0)
    pairs = np.maximum(size, 1.0) * others
    repeated = counts * (counts - 1.0) / others[:, None] * shared[:, None]
    below = np.cumsum(counts, axis=1)
    position = np.arange(patterns.n_categories, dtype=np.float64)
    squares = _square_pairs(counts, position) / pairs
    overlap = patterns.size >= 2
    return Sums(
        tasks=np.ones(len(size)),
        shared=shared,
        agreeing=(counts * (counts - 1.0)).sum(axis=1) / pairs,
        steps=2.0 * (below * (size[:, None] - below)).sum(axis=1) / pairs,
        squares=squares,
        answer_squares=squares * size,
        shares=counts / np.maximum(size, 1.0)[:, None],
        answers=counts * shared[:, None],
        repeated=repeated,
        present=(counts > 0) * shared[:, None],
        first=None if patterns.cells is None else _indicator(patterns.cells[:, 0], overlap, patterns.n_categories),
        second=None if patterns.cells is None else _indicator(patterns.cells[:, 1], overlap, patterns.n_categories),
        counts=counts if middle is None else None,
        rank_squares=None if middle is None else _square_pairs(counts, middle) / others,
        middle=middle,
    )


def _square_pairs(counts: FloatArray, position: FloatArray) -> FloatArray:
    """Sum of squared distance over ordered pairs of judgements, (n_patterns,)."""
    centred = position - position.mean()
    total: FloatArray = 2.0 * (counts.sum(axis=1) * (counts @ centred**2) - (counts @ centred) ** 2)
    return np.maximum(total, 0.0)


def _indicator(label: IntArray, keep: BoolArray, q: int) -> FloatArray:
    table = np.zeros((len(label), q))
    table[np.flatnonzero(keep), label[keep]] = 1.0
    return table


def middle_ranks(total: FloatArray) -> FloatArray:
    """Mean rank of the judgements of each category, along the last axis, as a share of all judgements."""
    middle: FloatArray = (np.cumsum(total, axis=-1) - total / 2.0) / np.maximum(
        total.sum(axis=-1, keepdims=True), 1e-12
    )
    return middle


def grouped(parts: tuple[Answers, ...], *, q: int, seed: int) -> Sums:
    """Every task dealt to one of GROUPS rows, at random by the seed alone, whatever tasks and annotators are called."""
    generator = np.random.default_rng(seed)
    total = np.zeros(q)
    for part in parts:
        if part.labels.shape[1] >= 2:
            weights = np.repeat(part.weight, part.labels.shape[1]).astype(np.float64)
            total += np.bincount(part.labels.ravel(), weights=weights, minlength=q)
    middle = middle_ranks(total)
    paired = any(part.paired for part in parts)
    found = _nothing(q, middle, paired=paired)
    for part in parts:
        step = max(1, BLOCK // part.labels.shape[1])
        pattern = np.repeat(np.arange(len(part.weight)), part.weight)
        for start in range(0, len(pattern), step):
            labels = part.labels[pattern[start : start + step]]
            _add(found, labels, generator.integers(GROUPS, size=len(labels)), paired=part.paired)
    return found


def _nothing(q: int, middle: FloatArray, *, paired: bool) -> Sums:
    row, table = GROUPS, (GROUPS, q)
    return Sums(
        tasks=np.zeros(row),
        shared=np.zeros(row),
        agreeing=np.zeros(row),
        steps=np.zeros(row),
        squares=np.zeros(row),
        answer_squares=np.zeros(row),
        shares=np.zeros(table),
        answers=np.zeros(table),
        repeated=np.zeros(table),
        present=np.zeros(table),
        first=np.zeros(table) if paired else None,
        second=np.zeros(table) if paired else None,
        counts=None,
        rank_squares=np.zeros(row),
        middle=middle,
    )


def _add(found: Sums, labels: IntArray, row: IntArray, *, paired: bool) -> None:
    """Adds tasks of one size, labels (n, m), to their rows (n,)."""
    m = labels.shape[1]
    ascending = np.sort(labels, axis=1)
    cell = row[:, None] * found.n_categories + ascending
    found.tasks[:] += np.bincount(row, minlength=GROUPS)
    _put(found.shares, cell, np.full(cell.shape, 1.0 / m))
    if m < 2:
        return
    found.shared[:] += np.bincount(row, minlength=GROUPS)
    times, leads = _repeats(cell)
    _put(found.answers, cell, None)
    _put(found.repeated, cell, (times - 1.0) / (m - 1))
    _put(found.present, cell[leads], None)
    if paired and found.first is not None and found.second is not None:
        _put(found.first, row * found.n_categories + labels[:, 0], None)
        _put(found.second, row * found.n_categories + labels[:, 1], None)
    _add_distances(found, ascending, row)
    found.agreeing[:] += np.bincount(row, weights=(times - 1.0).sum(axis=1) / (m * (m - 1)), minlength=GROUPS)


def _add_distances(found: Sums, ascending: IntArray, row: IntArray) -> None:
    m = ascending.shape[1]
    spread = 2.0 * (ascending @ (2.0 * np.arange(m) - m + 1.0)) / (m * (m - 1))
    squares = _square_spread(ascending.astype(np.float64)) / (m * (m - 1))
    for target, values in ((found.steps, spread), (found.squares, squares), (found.answer_squares, squares * m)):
        target[:] += np.bincount(row, weights=values, minlength=GROUPS)
    if found.rank_squares is not None and found.middle is not None:
        ranks = _square_spread(found.middle[ascending]) / (m - 1)
        found.rank_squares[:] += np.bincount(row, weights=ranks, minlength=GROUPS)


def _square_spread(position: FloatArray) -> FloatArray:
    """Sum of squared distance over ordered pairs within each row."""
    centred = position - position.mean(axis=1, keepdims=True)
    spread: FloatArray = 2.0 * position.shape[1] * (centred**2).sum(axis=1)
    return spread


def _repeats(cell: IntArray) -> tuple[FloatArray, BoolArray]:
    """How often each entry occurs in its row of ascending entries, and which entries are the first of their kind."""
    leads = np.ones(cell.shape, dtype=np.bool_)
    leads[:, 1:] = cell[:, 1:] != cell[:, :-1]
    start = np.flatnonzero(leads.ravel())
    length = np.diff(np.append(start, cell.size))
    return np.repeat(length, length).reshape(cell.shape).astype(np.float64), leads


def _put(table: FloatArray, cell: IntArray, weights: FloatArray | None) -> None:
    flat = None if weights is None else weights.ravel()
    table += np.bincount(cell.ravel(), weights=flat, minlength=table.size).reshape(table.shape)


def joined(groups: Sums, patterns: Patterns) -> Sums:
    """The rows of groups, and below them those of patterns on the same ranks."""
    more = _of_patterns(patterns, middle=groups.middle)
    return Sums(
        tasks=np.concatenate([groups.tasks, more.tasks]),
        shared=np.concatenate([groups.shared, more.shared]),
        agreeing=np.concatenate([groups.agreeing, more.agreeing]),
        steps=np.concatenate([groups.steps, more.steps]),
        squares=np.concatenate([groups.squares, more.squares]),
        answer_squares=np.concatenate([groups.answer_squares, more.answer_squares]),
        shares=np.concatenate([groups.shares, more.shares]),
        answers=np.concatenate([groups.answers, more.answers]),
        repeated=np.concatenate([groups.repeated, more.repeated]),
        present=np.concatenate([groups.present, more.present]),
        first=_below(groups.first, more.first),
        second=_below(groups.second, more.second),
        counts=None,
        rank_squares=_below(groups.rank_squares, more.rank_squares),
        middle=groups.middle,
    )


def _below(one: FloatArray | None, other: FloatArray | None) -> FloatArray | None:
    return None if one is None or other is None else np.concatenate([one, other])

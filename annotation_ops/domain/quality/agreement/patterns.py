"""Tasks grouped by how they were answered: every coefficient is a function of how often each answer pattern occurs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.quality.judgements import BLOCK, FloatArray, IntArray, Judgements

KEY_LIMIT = 1 << 62
"""Combinations of labels that one integer key may tell apart."""

TABLE_LIMIT = 1 << 20
"""Up to so many combinations, counting in a table beats sorting the keys."""


@dataclass(frozen=True, slots=True)
class Patterns:
    """`counts[u]` answers per category of pattern u, which `weight[u]` tasks show."""

    counts: FloatArray
    """(n_patterns, n_categories)"""
    weight: FloatArray
    """(n_patterns,)"""
    cells: IntArray | None
    """(n_patterns, 2) answers of the first and second annotator; None unless exactly two annotators form one pair."""

    @property
    def size(self) -> FloatArray:
        """Judgements in each pattern."""
        total: FloatArray = self.counts.sum(axis=1)
        return total

    @property
    def n_overlap(self) -> int:
        return round(float(self.weight[self.size >= 2].sum()))

    @property
    def n_categories(self) -> int:
        return int(self.counts.shape[1])


@dataclass(frozen=True, slots=True)
class Answers:
    """Patterns of one number of judgements, without a column for every category."""

    labels: IntArray
    """(n_patterns, n_judgements): ascending, but of the first and the second annotator where `paired`."""
    weight: IntArray
    """(n_patterns,) tasks that show the pattern."""
    paired: bool

    def counts(self, q: int) -> FloatArray:
        """(n_patterns, q)"""
        flat = np.arange(len(self.labels))[:, None] * q + self.labels
        return np.bincount(flat.ravel(), minlength=len(self.labels) * q).reshape(-1, q).astype(np.float64)


def patterns_of(judgements: Judgements) -> Patterns:
    """Patterns in canonical order: neither the names nor the order of tasks and annotators matter."""
    return dense_patterns(answers_of(judgements), q=len(judgements.categories))


def dense_patterns(answers: tuple[Answers, ...], *, q: int) -> Patterns:
    """The same with a column for every category; needs n_patterns x q cells."""
    counts = np.concatenate([np.empty((0, q)), *(part.counts(q) for part in answers)])
    weight = np.concatenate([np.empty(0), *(part.weight for part in answers)])
    if any(part.paired for part in answers):
        # A single answer stands in both columns.
        cells = np.concatenate([part.labels[:, [0, -1]] for part in answers])
        return Patterns(counts, weight, cells)
    order = np.lexsort(counts.T[::-1])
    return Patterns(counts[order], weight[order], None)


def answers_of(judgements: Judgements) -> tuple[Answers, ...]:
    """Distinct answers, the largest numbers of judgements first; linear in the judgements but for sorting keys."""
    size, q = judgements.per_task(), len(judgements.categories)
    paired = len(judgements.annotators) == 2 and bool((size >= 2).any())
    parts = []
    for n_judgements in np.unique(size)[::-1].tolist():
        both = paired and n_judgements == 2
        labels, weight = _distinct(judgements, size, n_judgements, q, ordered=not both)
        parts.append(Answers(*(_canonical(labels, weight, q) if both else (labels, weight)), both))
    return tuple(parts)


def _distinct(
    judgements: Judgements, size: IntArray, n_judgements: int, q: int, *, ordered: bool
) -> tuple[IntArray, IntArray]:
    """Distinct rows of labels of the tasks of one size, in order, and how many tasks show each."""
    digits = max(1, int(np.log(KEY_LIMIT) // np.log(max(q, 2))))
    words = np.empty((0, -(-n_judgements // digits)), dtype=np.int64)
    weight = np.empty(0, dtype=np.int64)
    if words.shape[1] == 1 and q**n_judgements <= TABLE_LIMIT:
        table = np.zeros(q**n_judgements, dtype=np.int64)
        for labels in _labels(judgements, size, n_judgements, ordered=ordered):
            table += np.bincount(_words(labels, q, digits)[:, 0], minlength=len(table))
        words = np.flatnonzero(table)[:, None]
        weight = table[words[:, 0]]
    else:
        for labels in _labels(judgements, size, n_judgements, ordered=ordered):
            found = _words(labels, q, digits)
            words, weight = _merged(
                np.concatenate([words, found]), np.concatenate([weight, np.ones(len(found), dtype=np.int64)])
            )
    return _unworded(words, n_judgements, q, digits), weight


def _labels(judgements: Judgements, size: IntArray, n_judgements: int, *, ordered: bool) -> Iterator[IntArray]:
    """Blocks (n_tasks_of_block, n_judgements) of the labels of tasks of one size."""
    starts = (np.cumsum(size) - size)[size == n_judgements]
    step = max(1, BLOCK // n_judgements)
    for at in range(0, len(starts), step):
        labels = judgements.label_index[starts[at : at + step, None] + np.arange(n_judgements)]
        yield np.sort(labels, axis=1) if ordered else labels


def _words(labels: IntArray, q: int, digits: int) -> IntArray:
    """Rows of labels as rows of as few integers as hold them, in the same order."""
    words = []
    for at in range(0, labels.shape[1], digits):
        part = labels[:, at : at + digits]
        word = part[:, 0].copy()
        for column in part.T[1:]:
            word = word * q + column
        words.append(word)
    return np.stack(words, axis=1)


def _unworded(words: IntArray, n_judgements: int, q: int, digits: int) -> IntArray:
    labels = np.empty((len(words), n_judgements), dtype=np.int64)
    for number in range(words.shape[1]):
        left = words[:, number].copy()
        for at in range(min(n_judgements, (number + 1) * digits) - 1, number * digits - 1, -1):
            left, labels[:, at] = np.divmod(left, q)
    return labels


def _merged(words: IntArray, weight: IntArray) -> tuple[IntArray, IntArray]:
    order = np.argsort(words[:, 0], kind="stable") if words.shape[1] == 1 else np.lexsort(words.T[::-1])
    words, weight = words[order], weight[order]
    first = np.flatnonzero(np.append(True, (words[1:] != words[:-1]).any(axis=1)))
    return words[first], np.add.reduceat(weight, first)


def _canonical(labels: IntArray, weight: IntArray, q: int) -> tuple[IntArray, IntArray]:
    """Which annotator is called the first is an accident of naming: of the two tables, the lexically larger one."""
    cells = labels[:, 0] * q + labels[:, 1]
    mirrored_cells = labels[:, 1] * q + labels[:, 0]
    order = np.argsort(mirrored_cells)
    if _larger(mirrored_cells[order], weight[order], cells, weight):
        return labels[order][:, ::-1], weight[order]
    return labels, weight


def _larger(cells: IntArray, weight: IntArray, other_cells: IntArray, other_weight: IntArray) -> bool:
    """Whether the first of two sparse tables, cells ascending, is lexically larger than the second."""
    differs = np.flatnonzero((cells != other_cells) | (weight != other_weight))
    if not len(differs):
        return False
    at = differs[0]
    if cells[at] != other_cells[at]:
        # The table with the earlier cell has a count where the other has zero.
        return bool(cells[at] < other_cells[at])
    return bool(weight[at] > other_weight[at])

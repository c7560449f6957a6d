"""Tasks grouped by how they were answered: every coefficient is a function of how often each answer pattern occurs."""

from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.quality.judgements import FloatArray, IntArray, Judgements


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


def patterns_of(judgements: Judgements) -> Patterns:
    """Patterns in canonical order: neither the names nor the order of tasks and annotators matter."""
    if len(judgements.annotators) == 2 and judgements.overlapping().any():
        return _pair_patterns(judgements)
    counts, weight = np.unique(judgements.counts(), axis=0, return_counts=True)
    return Patterns(counts, weight.astype(np.float64), None)


def _pair_patterns(judgements: Judgements) -> Patterns:
    q = len(judgements.categories)
    first, second = judgements.pairs()
    table = np.bincount(judgements.label_index[first] * q + judgements.label_index[second], minlength=q * q).reshape(
        q, q
    )
    # Which annotator is called the first is an accident of naming.
    if tuple(table.T.ravel()) > tuple(table.ravel()):
        table = table.T
    cells = np.argwhere(table > 0)
    weight = table[table > 0]
    alone = judgements.counts()[~judgements.overlapping()].sum(axis=0)
    identity = np.eye(q)
    seen = np.flatnonzero(alone > 0)
    return Patterns(
        np.concatenate([identity[cells[:, 0]] + identity[cells[:, 1]], identity[seen]]),
        np.concatenate([weight, alone[seen]]).astype(np.float64),
        np.concatenate([cells, np.stack([seen, seen], axis=1)]).astype(np.int64),
    )

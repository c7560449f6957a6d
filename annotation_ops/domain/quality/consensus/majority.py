"""Votes counted: plain, smoothed, and weighted by agreement with the most frequent answer.

The tie rule of `majority`: two labels with equally many votes are a tie, and a tie goes to a person. Nothing breaks it.
"""

import numpy as np

from annotation_ops.domain.quality.consensus.ratings import PARAMETER_DIGITS, Ratings, shares
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray

SMOOTHING = 1.0
"""Votes, spread evenly over the classes, that are added to every task: three votes of three are not certainty."""


def majority(counts: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Vote shares (n_tasks, q) and which tasks are tied (n_tasks,)."""
    if counts.shape[1] == 1:
        return shares(counts), np.zeros(len(counts), dtype=np.bool_)
    top = np.partition(counts, -2, axis=1)[:, -2:]
    return shares(counts), np.asarray(top[:, 1] - top[:, 0] < 0.5, dtype=np.bool_)


def agreement_with_leaders(ratings: Ratings) -> FloatArray:
    """Share of each annotator's answers that are the most frequent answer of their task, (n_annotators,).

    Leaders of equal votes share one point. The weight of "worker agreement with aggregate" (Wawa, Appen).
    """
    counts = ratings.counts()
    leading = counts >= counts.max(axis=1, keepdims=True) - 0.5
    points = leading / leading.sum(axis=1, keepdims=True)
    hits = np.bincount(ratings.annotator, weights=points[ratings.task, ratings.label], minlength=ratings.n_annotators)
    return np.round(hits / np.maximum(ratings.per_annotator(), 1.0), PARAMETER_DIGITS)

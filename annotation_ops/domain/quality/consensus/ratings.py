"""Ratings as bare index arrays: what the estimating methods work on, and where one person may rate one task repeatedly."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray, Judgements

PARAMETER_DIGITS = 12
"""Digits kept of every parameter between two rounds of an iteration. Sums depend on the order of their terms by about
1e-16, and from a symmetric start an iteration multiplies that until names decide; cut away here, it never grows."""
FLOOR = 1e-10
"""Smallest probability: a logarithm of it is finite."""

ClassPrior: TypeAlias = Literal["estimated", "votes", "flat"]
"""What is believed of a task before any rating. estimated: the mean posterior, iterated (as in EM; sharpest, and the one
that lets frequent classes swallow rare ones). votes: the share of each class in the ratings, fixed; errors only blur it.
flat: every class alike."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """One element of the three index arrays is one rating; in any order, repeated ratings of one person allowed."""

    task: IntArray = field(repr=False)
    annotator: IntArray = field(repr=False)
    label: IntArray = field(repr=False)
    n_tasks: int
    n_annotators: int
    n_categories: int

    def __post_init__(self) -> None:
        for name, index, size in (
            ("task", self.task, self.n_tasks),
            ("annotator", self.annotator, self.n_annotators),
            ("label", self.label, self.n_categories),
        ):
            if len(index) != len(self.task) or (len(index) and not 0 <= index.min() <= index.max() < size):
                raise InvalidInput(
                    f"{name}: found {len(index)} entries for {len(self.task)} ratings, or an entry outside 0 to "
                    f"{size - 1}; expected one within for each rating. Number tasks, annotators and labels from 0."
                )

    @classmethod
    def of(cls, judgements: Judgements) -> "Ratings":
        return cls(
            judgements.task_index,
            judgements.annotator_index,
            judgements.label_index,
            len(judgements.tasks),
            len(judgements.annotators),
            len(judgements.categories),
        )

    def counts(self) -> FloatArray:
        """How often each category was given to each task, (n_tasks, n_categories)."""
        return self.votes(np.ones(self.n_annotators))

    def votes(self, weights: FloatArray) -> FloatArray:
        """Sum of the weights of those who gave each category to each task, (n_tasks, n_categories)."""
        size = self.n_tasks * self.n_categories
        flat = np.bincount(
            self.task * self.n_categories + self.label, weights=weights[self.annotator], minlength=size
        ).astype(np.float64)
        return flat.reshape(self.n_tasks, self.n_categories)

    def per_annotator(self) -> FloatArray:
        """Ratings by each annotator, (n_annotators,)."""
        return np.bincount(self.annotator, minlength=self.n_annotators).astype(np.float64)


def shares(counts: FloatArray) -> FloatArray:
    """Each row divided by its sum; equal shares where a task has no rating."""
    size = counts.sum(axis=1, keepdims=True)
    return np.where(size > 0, counts / np.where(size > 0, size, 1.0), 1.0 / counts.shape[1])


def softmax(scores: FloatArray) -> FloatArray:
    """Probabilities from log scores, row by row; overwrites its input to spare memory on millions of tasks."""
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def class_prior(posterior: FloatArray, counts: FloatArray, prior: ClassPrior) -> FloatArray:
    """P(class) of a task before any rating, (q,), summing to 1, nowhere 0."""
    q = counts.shape[1]
    if prior == "flat":
        return np.full(q, 1.0 / q)
    # One task's worth for each class, so that a class nobody ever gave stays possible.
    mass = posterior.sum(axis=0) if prior == "estimated" else shares(counts).sum(axis=0) + 1.0
    share = np.maximum(np.round(mass / mass.sum(), PARAMETER_DIGITS), FLOOR)
    return np.asarray(share / share.sum(), dtype=np.float64)


def led(counts: FloatArray) -> BoolArray:
    """Which tasks have one label with strictly more votes than every other, (n_tasks,)."""
    if counts.shape[1] == 1:
        return np.ones(len(counts), dtype=np.bool_)
    top = np.partition(counts, -2, axis=1)[:, -2:]
    return np.asarray(top[:, 1] - top[:, 0] > 0.5, dtype=np.bool_)

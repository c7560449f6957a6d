"""CROWDLAB: a classifier and annotators averaged by how well each predicts the consensus.

Goh, Tkachenko & Mueller, arXiv 2210.06812. Offered for comparison; `model_assisted` is the one to use.
"""

from dataclasses import dataclass, field

import numpy as np

from annotation_ops.domain.quality.consensus.ratings import Ratings, shares
from annotation_ops.domain.quality.judgements import FloatArray, IntArray

LOWEST = 1e-6
"""Weights and errors are clipped above this, so that nobody's vote is zero or negative."""


@dataclass(frozen=True, slots=True)
class Crowdlab:
    posterior: FloatArray = field(repr=False)
    """(n_tasks, q)."""
    label: IntArray
    """(n_tasks,)."""
    quality: FloatArray
    """Posterior of the label, (n_tasks,): the consensus quality score."""
    model_weight: float
    annotator_weights: FloatArray
    """(n_annotators,)."""


def crowdlab(ratings: Ratings, *, predictions: FloatArray) -> Crowdlab:
    """Weights are fitted against the majority vote, then again against the label they elect.

    `predictions` (n_tasks, q), out of fold. With one judgement on every task nothing can be weighed: the model and
    everybody else then count alike.
    """
    first = _leaders(ratings, predictions)
    elected = _posterior(ratings, predictions, first)[0]
    top = elected.max(axis=1, keepdims=True)
    alone = (elected == top).sum(axis=1) == 1
    label = np.where(alone, elected.argmax(axis=1), first).astype(np.int64)
    posterior, model_weight, weights = _posterior(ratings, predictions, label)
    return Crowdlab(posterior, label, posterior[np.arange(len(label)), label], model_weight, weights)


def _leaders(ratings: Ratings, predictions: FloatArray) -> IntArray:
    """The most frequent answer; ties go to the model's favourite among the tied, then to the rarer label."""
    counts = ratings.counts()
    tied = counts == counts.max(axis=1, keepdims=True)
    favoured = np.where(tied, predictions, -1.0)
    still = favoured == favoured.max(axis=1, keepdims=True)
    rarity = np.where(still, -counts.sum(axis=0), -np.inf)
    return np.asarray(rarity.argmax(axis=1), dtype=np.int64)


def _posterior(ratings: Ratings, predictions: FloatArray, label: IntArray) -> tuple[FloatArray, float, FloatArray]:
    counts = ratings.counts()
    size = counts.sum(axis=1)
    shared = size > 1
    q = ratings.n_categories
    if not shared.any() or q == 1:
        weights = np.ones(ratings.n_annotators)
        return shares(counts + predictions), 1.0, weights
    hit = float((counts[np.arange(len(label)), label] / size)[shared].mean())
    guess = np.bincount(label[shared], minlength=q).argmax()
    baseline = max(float(np.mean(label[shared] != guess)), LOWEST)
    weights = np.maximum(1.0 - (1.0 - _agreement(ratings, counts, size)) / baseline, LOWEST)
    model_error = float(np.mean(predictions.argmax(axis=1)[shared] != label[shared]))
    model_weight = max(1.0 - model_error / baseline, LOWEST) * float(np.sqrt(size.mean()))
    votes = ratings.votes(weights)
    total = votes.sum(axis=1, keepdims=True)
    miss = (1.0 - hit) / (q - 1)
    posterior = (model_weight * predictions + votes * hit + (total - votes) * miss) / (model_weight + total)
    return posterior, model_weight, weights


def _agreement(ratings: Ratings, counts: FloatArray, size: FloatArray) -> FloatArray:
    """How often each annotator agrees with the others of the same tasks; the mean where there are no others."""
    same = counts[ratings.task, ratings.label] - 1.0
    others = size[ratings.task] - 1.0
    agreeing = np.bincount(ratings.annotator, weights=same, minlength=ratings.n_annotators)
    possible = np.bincount(ratings.annotator, weights=others, minlength=ratings.n_annotators)
    known = possible > 0
    rate = agreeing / np.where(known, possible, 1.0)
    return np.asarray(np.where(known, rate, rate[known].mean()), dtype=np.float64)

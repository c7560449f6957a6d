"""One-coin Dawid-Skene: one accuracy an annotator, errors spread evenly over the other classes; EM.

Zhang, Chen, Zhou & Jordan, JMLR 17 (2016), arXiv 1406.3824. Accuracies are drawn to the crowd's.
"""

from dataclasses import dataclass, field

import numpy as np

from annotation_ops.domain.quality.consensus.ratings import (
    PARAMETER_DIGITS,
    ClassPrior,
    Ratings,
    class_prior,
    shares,
    softmax,
)
from annotation_ops.domain.quality.judgements import FloatArray

MAX_ROUNDS = 100
SETTLED = 1e-4
"""No accuracy moves by more than this: stop."""
POOLING = 4.0
"""Judgements by which an accuracy is drawn to that of the crowd."""
CROWD_ACCURACY = 0.7
"""Where the crowd's own accuracy starts, with the weight of POOLING judgements."""
MAX_ACCURACY = 0.99
"""Nobody is trusted beyond this."""


@dataclass(frozen=True, slots=True)
class OneCoin:
    posterior: FloatArray = field(repr=False)
    """(n_tasks, q)."""
    prior: FloatArray
    """P(class), (q,), sums to 1."""
    accuracy: FloatArray
    """(n_annotators,)."""
    weights: FloatArray
    """Log-odds of the accuracies: what a vote adds to its label's log-likelihood against each other label."""
    rounds: int
    settled: bool


def one_coin(
    ratings: Ratings,
    *,
    pooling: float = POOLING,
    prior: ClassPrior = "votes",
    max_accuracy: float = MAX_ACCURACY,
    rounds: int = MAX_ROUNDS,
    settled: float = SETTLED,
) -> OneCoin:
    """EM in log space from the vote shares. `pooling` 0 is the model of the paper."""
    counts = ratings.counts()
    posterior = shares(counts)
    share = class_prior(posterior, counts, prior)
    accuracy = _accuracy(ratings, posterior, pooling=pooling, most=max_accuracy)
    done, moved = 0, np.inf
    while done < rounds and moved >= settled:
        done += 1
        posterior = softmax(ratings.votes(_log_odds(accuracy, ratings.n_categories)) + np.log(share))
        before, accuracy = accuracy, _accuracy(ratings, posterior, pooling=pooling, most=max_accuracy)
        share = class_prior(posterior, counts, prior)
        moved = float(np.abs(accuracy - before).max(initial=0.0))
    return OneCoin(posterior, share, accuracy, _log_odds(accuracy, ratings.n_categories), done, moved < settled)


def _accuracy(ratings: Ratings, posterior: FloatArray, *, pooling: float, most: float) -> FloatArray:
    people = ratings.n_annotators
    right = np.bincount(ratings.annotator, weights=posterior[ratings.task, ratings.label], minlength=people)
    answers = ratings.per_annotator()
    crowd = (right.sum() + CROWD_ACCURACY * pooling) / max(answers.sum() + pooling, 1.0)
    accuracy = (right + pooling * crowd) / np.maximum(answers + pooling, 1.0)
    return np.asarray(np.round(np.clip(accuracy, 1.0 - most, most), PARAMETER_DIGITS), dtype=np.float64)


def _log_odds(accuracy: FloatArray, q: int) -> FloatArray:
    """Negative for those who are wrong more often than chance: their votes count against their label."""
    if q == 1:
        return np.zeros_like(accuracy)
    return np.asarray(np.log(accuracy * (q - 1.0) / (1.0 - accuracy)), dtype=np.float64)

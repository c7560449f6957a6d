"""Consensus with a classifier as one more opinion: its out-of-fold probabilities multiply the crowd's posterior.

How loudly it speaks is estimated without gold: the exponent of its probabilities under which the judgements are likeliest
given the others of their tasks. Predictions must be out of fold: a model that was trained on a task's own judgements
repeats them, and is then counted as a second voice.
"""

from dataclasses import dataclass, field

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.consensus.calibration import best_by_prediction
from annotation_ops.domain.quality.consensus.consensus_label import close_calls
from annotation_ops.domain.quality.consensus.ensemble import Ensemble, ensemble
from annotation_ops.domain.quality.consensus.ratings import FLOOR, Ratings, class_prior, shares, softmax
from annotation_ops.domain.quality.consensus.weighted_vote import annotator_accuracy
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, Judgements

WEIGHTS = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.25])
"""Above 1 the model would be trusted beyond what it claims itself; a little allows for timid probabilities."""


@dataclass(frozen=True, slots=True)
class ModelAssisted:
    posterior: FloatArray = field(repr=False)
    """(n_tasks, q)."""
    tied: BoolArray = field(repr=False)
    """Too close to call, or tied for the crowd and not told apart by the model, (n_tasks,)."""
    weight: float
    """Exponent of the model's evidence; 0: it is not heard."""
    crowd: Ensemble


def model_assisted(judgements: Judgements, *, predictions: FloatArray) -> ModelAssisted:
    """Crowd posterior times (model probability / class prior) ^ weight.

    `predictions` is (n_tasks, q), rows in the order of `judgements.tasks`, columns of `judgements.categories`; a row of
    NaN only is a task without a prediction. See `check_predictions` for what is refused.
    """
    check_predictions(judgements, predictions, gaps=True)
    ratings, counts = Ratings.of(judgements), judgements.counts()
    crowd = ensemble(judgements)
    prior = class_prior(shares(counts), counts, "votes")
    known = np.where(np.isnan(predictions), prior, predictions)
    evidence = np.log(np.maximum(known, FLOOR)) - np.log(prior)
    weight = _weight(judgements, ratings, counts, crowd, evidence)
    posterior = softmax(np.log(np.maximum(crowd.posterior, FLOOR)) + weight * evidence)
    opinion = np.where(np.isnan(predictions), 1.0, np.maximum(predictions, FLOOR)) ** weight
    tied = close_calls(posterior, counts) | (crowd.tied & close_calls(opinion, counts))
    return ModelAssisted(posterior, tied, weight, crowd)


def check_predictions(judgements: Judgements, predictions: FloatArray | None, *, gaps: bool) -> FloatArray:
    """The predictions, or InvalidInput: absent, of another shape, not finite, negative, or rows that do not sum to 1.

    With `gaps`, a row of NaN only is a task without a prediction.
    """
    shape = (len(judgements.tasks), len(judgements.categories))
    if predictions is None:
        raise InvalidInput(
            f"predictions: found none, expected class probabilities of shape {shape}. "
            "Pass out-of-fold probabilities, or use the method ensemble."
        )
    if predictions.shape != shape:
        raise InvalidInput(
            f"predictions: found shape {predictions.shape}, expected {shape}, one row a task and one column a category. "
            "Order them as the judgements' tasks and categories."
        )
    wrong = ~np.isfinite(predictions).all(axis=1) | (predictions < 0).any(axis=1)
    wrong |= np.abs(predictions.sum(axis=1) - 1.0) > 1e-3
    if gaps:
        wrong &= ~np.isnan(predictions).all(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InvalidInput(
            f"predictions: row {row + 1} (task {judgements.tasks[row]!r}): found {predictions[row].tolist()}, expected "
            "probabilities that sum to 1. Normalise the model's output, for example by softmax."
        )
    return predictions


def _weight(
    judgements: Judgements, ratings: Ratings, counts: FloatArray, crowd: Ensemble, evidence: FloatArray
) -> float:
    if not (judgements.per_task() > 1).any():
        # Nothing to leave out; half a voice is what a model of average skill was worth on the movie snippets.
        return 0.5

    def left_out(rows: slice) -> FloatArray:
        if crowd.mixture is None:
            others = counts[ratings.task[rows]] + 1.0 / counts.shape[1]
            others[np.arange(len(others)), ratings.label[rows]] -= 1.0
            posterior = shares(others)
        else:
            posterior = crowd.mixture.left_out(ratings, counts, rows)
        # The evidence rides along in extra columns, so that it is cut to the same ratings.
        return np.hstack([np.log(np.maximum(posterior, FLOOR)), evidence[ratings.task[rows]]])

    q = counts.shape[1]
    return best_by_prediction(
        ratings,
        left_out,
        lambda logs, weight: softmax(logs[:, :q] + weight * logs[:, q:]),
        _confusion(judgements, crowd),
        WEIGHTS,
    )


def _confusion(judgements: Judgements, crowd: Ensemble) -> FloatArray:
    """P(given | true) by annotator, given, true: the estimated matrices, else one accuracy a person."""
    if crowd.mixture is not None and crowd.mixture.members.confusion is not None:
        return crowd.mixture.members.confusion
    q = len(judgements.categories)
    accuracy = annotator_accuracy(judgements)
    wrong = (1.0 - accuracy) / max(q - 1, 1)
    return np.asarray(wrong[:, None, None] + np.eye(q) * (accuracy - wrong)[:, None, None], dtype=np.float64)

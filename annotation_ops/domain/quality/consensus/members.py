"""The members of the ensemble: each a posterior that can also leave any one rating out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from annotation_ops.domain.quality.consensus.dawid_skene import POOLING, Confusions, dawid_skene, log_scores
from annotation_ops.domain.quality.consensus.majority import SMOOTHING, agreement_with_leaders
from annotation_ops.domain.quality.consensus.one_coin import one_coin
from annotation_ops.domain.quality.consensus.ratings import FLOOR, Ratings, shares, softmax
from annotation_ops.domain.quality.consensus.weighted_vote import WeightedVote
from annotation_ops.domain.quality.judgements import FloatArray

EM_ROUNDS = 30
"""Accuracy on real crowds is the same to 0.01 points as with 60, in two thirds of the time."""
MAX_EM_CELLS = 10_000_000
"""annotators x classes x classes above which no confusion matrices are estimated: 80 MB a copy."""


@dataclass(frozen=True, slots=True)
class Member:
    """A posterior that is a sum over ratings: of log-likelihoods, or of votes that are shares at the end."""

    posterior: FloatArray = field(repr=False)
    """(n_tasks, q)."""
    scores: FloatArray = field(repr=False)
    """The sums, prior included, (n_tasks, q)."""
    adds: FloatArray = field(repr=False)
    """What a rating adds: to its own label, (n_annotators,); or to every class, (n_annotators, given, q)."""
    logarithmic: bool

    def left_out(self, ratings: Ratings, rows: slice) -> FloatArray:
        """For each of these ratings, the posterior of its task without it, (n_rows, q)."""
        task, annotator, label = ratings.task[rows], ratings.annotator[rows], ratings.label[rows]
        scores = self.scores[task]
        if self.adds.ndim == 1:
            scores[np.arange(len(task)), label] -= self.adds[annotator]
        else:
            scores -= self.adds[annotator, label]
        return softmax(scores) if self.logarithmic else shares(np.maximum(scores, FLOOR))


@dataclass(frozen=True, slots=True)
class Members:
    by_name: Mapping[str, Member] = field(repr=False)
    confusion: FloatArray | None = field(repr=False)
    """P(given | true) by annotator, given, true; None when confusion matrices were not estimated."""

    def mean(self, weights: Mapping[str, float]) -> FloatArray:
        """Weighted mean of the members' posteriors, (n_tasks, q)."""
        return _mean([(weight, self.by_name[name].posterior) for name, weight in weights.items()])

    def mean_left_out(self, weights: Mapping[str, float], ratings: Ratings, rows: slice) -> FloatArray:
        """The same without each of these ratings, (n_rows, q)."""
        return _mean([(weight, self.by_name[name].left_out(ratings, rows)) for name, weight in weights.items()])


def counting_members(ratings: Ratings, weighted: WeightedVote) -> Members:
    """Those that need no EM: `smoothed`, `agreeing` (votes weighted by agreement with the leaders) and `weighted`."""
    log_odds = weighted.votes + np.log(weighted.prevalence)
    members = {
        "smoothed": _voting(ratings, np.ones(ratings.n_annotators), smoothing=SMOOTHING),
        "agreeing": _voting(ratings, agreement_with_leaders(ratings), smoothing=0.0),
        "weighted": Member(weighted.posterior, log_odds, weighted.weights, logarithmic=True),
    }
    return Members(members, None)


def em_members(ratings: Ratings) -> Members:
    """Fitted by EM: `coins` (one-coin, the prior estimated), `coins_flat`, `matrices` (confusion matrices drawn to the
    crowd's one coin, the prior from the votes) and `matrices_flat`; the last two only up to MAX_EM_CELLS."""
    found = {
        "coins": _coins(ratings, flat=False),
        "coins_flat": _coins(ratings, flat=True),
    }
    confusion = None
    if ratings.n_annotators * ratings.n_categories**2 <= MAX_EM_CELLS:
        fitted = dawid_skene(ratings, smoothing=0.0, pooling=POOLING, pooled_to="coin", prior="votes", rounds=EM_ROUNDS)
        flat = dawid_skene(ratings, smoothing=0.0, pooling=POOLING, pooled_to="coin", prior="flat", rounds=EM_ROUNDS)
        found |= {"matrices": _matrices(ratings, fitted), "matrices_flat": _matrices(ratings, flat)}
        confusion = fitted.confusion.transpose(0, 2, 1)
    return Members(found, confusion)


def together(parts: Sequence[Members]) -> Members:
    merged = {name: member for part in parts for name, member in part.by_name.items()}
    confusions = [part.confusion for part in parts if part.confusion is not None]
    return Members(merged, confusions[0] if confusions else None)


def _voting(ratings: Ratings, weights: FloatArray, *, smoothing: float) -> Member:
    scores = ratings.votes(weights) + smoothing / ratings.n_categories
    return Member(shares(scores), scores, weights, logarithmic=False)


def _coins(ratings: Ratings, *, flat: bool) -> Member:
    fitted = one_coin(ratings, prior="flat" if flat else "estimated", rounds=EM_ROUNDS)
    scores = ratings.votes(fitted.weights) + np.log(fitted.prior)
    return Member(fitted.posterior, scores, fitted.weights, logarithmic=True)


def _matrices(ratings: Ratings, fitted: Confusions) -> Member:
    adds = np.log(fitted.confusion).transpose(0, 2, 1)
    return Member(fitted.posterior, log_scores(ratings, fitted), adds, logarithmic=True)


def _mean(parts: Sequence[tuple[float, FloatArray]]) -> FloatArray:
    total = sum(weight for weight, _ in parts)
    mean = np.zeros_like(parts[0][1])
    for weight, posterior in parts:
        mean += weight / total * posterior
    return mean

"""Votes weighted by the skill of those who cast them.

Each judgement weighs the log-odds of its annotator's skill, which is estimated from agreement with the
*other* judgements of the same tasks, iterated. This is the one-coin model (Zhang et al., arXiv 1406.3824) fitted by
leaving one out instead of by EM: EM grows over-confident at two or three judgements a task.
"""

from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.quality.consensus.consensus_label import TIE_LOG_ODDS
from annotation_ops.domain.quality.consensus.ratings import softmax
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray, Judgements

ROUNDS = 20
"""At most. On simulated crowds of 10-14 people the largest error left is 0.13 after 8 rounds and 0.02 after 16."""
SETTLED = 1e-4
"""No skill moves by more than this: stop."""
PRIOR_JUDGEMENTS = 4.0
"""Evidence, in judgements, by which a skill is drawn to the mean skill of the crowd."""
DEFAULT_ACCURACY = 0.75
"""Assumed where no two people share a task: nothing was measured."""
MAX_ACCURACY = 0.98
"""Nobody is trusted beyond this, so two sound annotators always outvote a third."""
PREVALENCE_WEIGHT = 0.7
"""Part of the log prevalence used while skills are estimated. With 1/3 spammers on classes 90:10 and 70:20:7:3, the worst
of 8 runs against majority vote is -10 and +4 points at 0, -2 and +3 at 0.7, +2 and 0 at 1 (and confidence is worse)."""


@dataclass(frozen=True, slots=True)
class WeightedVote:
    votes: FloatArray
    """Summed log-odds of those who gave each category, (n_tasks, q)."""
    prevalence: FloatArray
    """(q,), sums to 1."""
    weights: FloatArray
    """Log-odds of each annotator, (n_annotators,)."""
    posterior: FloatArray
    """(n_tasks, q)."""
    tied: BoolArray
    """Tasks whose two leading labels have votes closer than TIE_LOG_ODDS, (n_tasks,): prevalence alone breaks no tie."""


def weighted_vote(judgements: Judgements) -> WeightedVote:
    """Votes weighted by the log-odds of their annotator's skill, with the prevalence of the categories as prior."""
    weights = log_odds(annotator_accuracy(judgements), len(judgements.categories))
    votes = _votes(judgements, weights)
    prevalence = _prevalence(votes)
    posterior = softmax(votes + np.log(prevalence))
    return WeightedVote(votes, prevalence, weights, posterior, _tied(votes, within=TIE_LOG_ODDS))


def annotator_accuracy(judgements: Judgements) -> FloatArray:
    """Estimated probability of a right answer on balanced classes, (n_annotators,), between 1/q and MAX_ACCURACY.

    Corrected for agreement by chance with the annotator's own label shares, so that answering at random, or always the
    most frequent class, comes out at 1/q. Two people cannot be told apart: both then get the same value.
    """
    q, people = len(judgements.categories), len(judgements.annotators)
    crowd = _crowd_accuracy(judgements)
    accuracy = np.full(people, crowd)
    if people <= 2 or q == 1:
        return accuracy
    for _ in range(ROUNDS):
        before = accuracy
        hit, best, prevalence = _left_out(judgements, log_odds(accuracy, q))
        chance = _chance(judgements, prevalence)
        informed = judgements.per_task()[judgements.task_index] > 1
        gained = np.bincount(judgements.annotator_index, weights=(hit - chance) * informed, minlength=people)
        possible = np.bincount(judgements.annotator_index, weights=(best - chance) * informed, minlength=people)
        prior = (q * crowd - 1.0) / (q - 1.0)
        skill = (gained + PRIOR_JUDGEMENTS * prior) / (np.maximum(possible, 0.0) + PRIOR_JUDGEMENTS)
        accuracy = np.clip((1.0 + (q - 1.0) * skill) / q, 1.0 / q, max(MAX_ACCURACY, 1.0 / q))
        if np.abs(accuracy - before).max() < SETTLED:
            break
    return accuracy


def log_odds(accuracy: FloatArray, q: int) -> FloatArray:
    """What one vote adds to its label's log-likelihood against each other label; 0 for a guesser, never negative."""
    if q == 1:
        return np.zeros_like(accuracy)
    weights: FloatArray = np.log(accuracy * (q - 1.0) / (1.0 - accuracy))
    return np.maximum(weights, 0.0)


def _crowd_accuracy(judgements: Judgements) -> float:
    """The accuracy at which equally skilled annotators, wrong evenly, would agree in pairs as often as these do.

    Agreement a = p^2 + (1-p)^2/(q-1), solved for p >= 1/q.
    """
    first, second = judgements.pairs()
    q = len(judgements.categories)
    if not len(first) or q == 1:
        return max(DEFAULT_ACCURACY, 1.0 / q) if q > 1 else 1.0
    agreeing = float(np.mean(judgements.label_index[first] == judgements.label_index[second]))
    above = np.sqrt(max(agreeing - 1.0 / q, 0.0) * (q - 1.0) / q)
    # Shrunk like a person's skill: a few pairs that happen to agree prove little.
    start = (above * len(first) + (DEFAULT_ACCURACY - 1.0 / q) * PRIOR_JUDGEMENTS) / (len(first) + PRIOR_JUDGEMENTS)
    return float(min(max(1.0 / q + start, 1.0 / q), MAX_ACCURACY))


def _prevalence(votes: FloatArray) -> FloatArray:
    """Share of each category in all weighted votes, one vote of the mean weight added to each, (n_categories,).

    Wrong votes blur it towards equal shares, so it can only understate how rare a class is: a prevalence iterated with
    the posterior, as in EM, lets frequent classes swallow rare ones.
    """
    mass = votes.sum(axis=0)
    mass = mass + max(float(votes[votes > 0].mean()) if (votes > 0).any() else 1.0, 1e-9)
    share: FloatArray = mass / mass.sum()
    return share


def _votes(judgements: Judgements, weights: FloatArray) -> FloatArray:
    shape = (len(judgements.tasks), len(judgements.categories))
    flat = judgements.task_index * shape[1] + judgements.label_index
    # Adding the votes in order of weight makes the sums independent of the annotators' names.
    order = np.argsort(weights[judgements.annotator_index], kind="stable")
    votes = weights[judgements.annotator_index[order]]
    total = np.bincount(flat[order], weights=votes, minlength=shape[0] * shape[1])
    return total.astype(np.float64).reshape(shape)


def _left_out(judgements: Judgements, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """For every judgement, by the posterior of the other judgements of its task: the probability of its label, the
    probability that a perfect annotator would hit (sum of squares); and the mean posterior of each category."""
    votes = _votes(judgements, weights)
    scores = votes + PREVALENCE_WEIGHT * np.log(_prevalence(votes))
    likelihood = np.exp(scores - scores.max(axis=1, keepdims=True))
    total, squares = likelihood.sum(axis=1), (likelihood**2).sum(axis=1)
    own = likelihood[judgements.task_index, judgements.label_index]
    without = own * np.exp(-weights[judgements.annotator_index])
    others = total[judgements.task_index] - own + without
    hit = without / others
    best = (squares[judgements.task_index] - own**2 + without**2) / others**2
    return hit, best, (likelihood / total[:, None]).mean(axis=0)


def _chance(judgements: Judgements, prevalence: FloatArray) -> FloatArray:
    """Agreement by chance of each judgement's annotator, given the label shares of that annotator."""
    people = len(judgements.annotators)
    expected = np.bincount(judgements.annotator_index, weights=prevalence[judgements.label_index], minlength=people)
    answers: IntArray = np.maximum(np.bincount(judgements.annotator_index, minlength=people), 1)
    chance: FloatArray = (expected / answers)[judgements.annotator_index]
    return chance


def _tied(scores: FloatArray, *, within: float) -> BoolArray:
    if scores.shape[1] == 1:
        return np.zeros(len(scores), dtype=np.bool_)
    top = np.partition(scores, -2, axis=1)[:, -2:]
    return np.asarray(top[:, 1] - top[:, 0] < within, dtype=np.bool_)

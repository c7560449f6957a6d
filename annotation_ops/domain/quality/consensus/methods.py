"""The one entry to every consensus method: judgements in, one label a task out."""

from annotation_ops.domain.project.criteria import ConsensusMethod
from annotation_ops.domain.quality.consensus.consensus_label import ConsensusLabel, close_calls, consensus_labels
from annotation_ops.domain.quality.consensus.crowdlab import crowdlab
from annotation_ops.domain.quality.consensus.dawid_skene import POOLING, dawid_skene
from annotation_ops.domain.quality.consensus.ensemble import ensemble
from annotation_ops.domain.quality.consensus.majority import majority
from annotation_ops.domain.quality.consensus.model_assisted import check_predictions, model_assisted
from annotation_ops.domain.quality.consensus.one_coin import one_coin
from annotation_ops.domain.quality.consensus.ratings import Ratings
from annotation_ops.domain.quality.consensus.weighted_vote import weighted_vote
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, Judgements


def consensus(
    judgements: Judgements, *, method: ConsensusMethod, predictions: FloatArray | None = None
) -> tuple[ConsensusLabel, ...]:
    """One entry a task, in task order. Independent of the order of rows and of all names.

    `predictions` (n_tasks, q) are out-of-fold class probabilities, for model_assisted and crowdlab only. Raises
    InvalidInput when those methods lack them, UnsafeInput when confusion matrices would not fit into memory.
    """
    if not judgements.tasks:
        return ()
    counts = judgements.counts()
    distribution, tied = posterior(judgements, counts, method=method, predictions=predictions)
    return consensus_labels(judgements, counts, distribution, tied=tied)


def posterior(
    judgements: Judgements, counts: FloatArray, *, method: ConsensusMethod, predictions: FloatArray | None = None
) -> tuple[FloatArray, BoolArray]:
    """P(category) of every task (n_tasks, q), and which tasks are too close to call (n_tasks,)."""
    match method:
        case "majority":
            return majority(counts)
        case "weighted_vote":
            weighted = weighted_vote(judgements)
            return weighted.posterior, weighted.tied
        case "ensemble":
            mixed = ensemble(judgements)
            return mixed.posterior, mixed.tied
        case "model_assisted":
            known = check_predictions(judgements, predictions, gaps=True)
            assisted = model_assisted(judgements, predictions=known)
            return assisted.posterior, assisted.tied
        case _:
            found = _estimated(judgements, method=method, predictions=predictions)
            return found, close_calls(found, counts)


def _estimated(judgements: Judgements, *, method: ConsensusMethod, predictions: FloatArray | None) -> FloatArray:
    ratings = Ratings.of(judgements)
    match method:
        case "one_coin":
            return one_coin(ratings).posterior
        case "dawid_skene":
            return dawid_skene(ratings).posterior
        case "hierarchical_dawid_skene":
            return dawid_skene(ratings, pooling=POOLING, prior="votes").posterior
        case _:
            return crowdlab(ratings, predictions=check_predictions(judgements, predictions, gaps=False)).posterior

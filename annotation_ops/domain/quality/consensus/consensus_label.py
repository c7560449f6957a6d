"""One label a task with how sure it is, from any posterior over the categories; ties go to people."""

from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, Judgements
from annotation_ops.domain.quality.statistic import ROUNDING

TIE_LOG_ODDS = 0.2
"""A lead below this (55 to 45) is a tie: skills are not known more closely."""


@dataclass(frozen=True, slots=True)
class ConsensusLabel:
    task_id: str
    label: str | None
    """None on a tie."""
    confidence: float
    """Posterior of the leading label; of majority, its share of the judgements."""
    distribution: tuple[float, ...]
    """Posterior (or share) of each category, in the order of the categories; sums to 1."""
    n_annotators: int
    tie: bool
    agreement: float
    """Share of the judgements equal to the label; on a tie, of the most frequent answer."""

    @property
    def entropy(self) -> float:
        """Of the distribution, in nats: 0 is certain, log(number of categories) knows nothing."""
        known = np.array([share for share in self.distribution if share > 0.0])
        return float(abs(np.round(-(known * np.log(known)).sum(), ROUNDING)))


def close_calls(posterior: FloatArray, counts: FloatArray) -> BoolArray:
    """Tasks whose two leading *given* labels are closer than TIE_LOG_ODDS, (n_tasks,)."""
    if counts.shape[1] == 1:
        return np.zeros(len(counts), dtype=np.bool_)
    given = np.where(counts > 0, posterior, 0.0)
    top = np.partition(given, -2, axis=1)[:, -2:]
    return np.asarray(top[:, 1] < top[:, 0] * np.exp(TIE_LOG_ODDS), dtype=np.bool_)


def consensus_labels(
    judgements: Judgements, counts: FloatArray, distribution: FloatArray, *, tied: BoolArray
) -> tuple[ConsensusLabel, ...]:
    """One entry a task, in task order; a label that nobody gave is never elected."""
    best = np.where(counts > 0, distribution, -1.0).argmax(axis=1)
    size = counts.sum(axis=1)
    rows = np.arange(len(size))
    share = np.where(tied, counts.max(axis=1), counts[rows, best]) / size
    rounded = np.round(distribution, ROUNDING)
    columns = zip(
        judgements.tasks,
        best.tolist(),
        rounded[rows, best].tolist(),
        rounded.tolist(),
        size.astype(np.int64).tolist(),
        tied.tolist(),
        share.tolist(),
        strict=True,
    )
    names = judgements.categories
    return tuple(
        ConsensusLabel(task, None if tie else names[label], confidence, tuple(posterior), n, tie, agreement)
        for task, label, confidence, posterior, n, tie, agreement in columns
    )

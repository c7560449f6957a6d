"""Agreement of each two annotators, and of each annotator with everybody else."""

import numpy as np

from annotation_ops.domain.quality.agreement.coefficients import NO_CHANCE_LEFT
from annotation_ops.domain.quality.agreement.report import AnnotatorAgreement, PairAgreement
from annotation_ops.domain.quality.judgements import FloatArray, IntArray, Judgements
from annotation_ops.domain.quality.statistic import Statistic, jeffreys, undefined


def pair_agreements(judgements: Judgements, *, confidence: float) -> tuple[PairAgreement, ...]:
    """Every pair that shares a task, ordered by the two ids."""
    first, second = judgements.pairs()
    people = len(judgements.annotators)
    code = judgements.annotator_index[first] * people + judgements.annotator_index[second]
    pairs, which = np.unique(code, return_inverse=True)
    labels = judgements.label_index[first], judgements.label_index[second]
    n = np.bincount(which, minlength=len(pairs)).astype(np.float64)
    agreeing = np.bincount(which, weights=labels[0] == labels[1], minlength=len(pairs)).astype(np.float64)
    chance = _chance(which, labels, n, q=len(judgements.categories))
    low, high = jeffreys(agreeing, trials=n, confidence=confidence)
    found = []
    for at, pair in enumerate(pairs.tolist()):
        names = judgements.annotators[pair // people], judgements.annotators[pair % people]
        share = Statistic(float(agreeing[at] / n[at]), None, float(low[at]), float(high[at]), int(n[at]))
        kappa = _kappa(share, float(chance[at]))
        found.append(PairAgreement(names, {"percent_agreement": share, "cohen_kappa": kappa}))
    return tuple(found)


def _chance(which: IntArray, labels: tuple[IntArray, IntArray], n: FloatArray, *, q: int) -> FloatArray:
    first, second = (
        np.bincount(which * q + label, minlength=len(n) * q).reshape(len(n), q).astype(np.float64) for label in labels
    )
    chance: FloatArray = (first * second).sum(axis=1) / n**2
    return chance


def _kappa(share: Statistic, chance: float) -> Statistic:
    if 1.0 - chance <= NO_CHANCE_LEFT:
        return undefined("single_category", n=share.n)
    value, low, high = (
        (float(bound) - chance) / (1.0 - chance) for bound in (share.value, share.low, share.high) if bound is not None
    )
    return Statistic(value, None, max(low, -1.0), high, share.n)


def annotator_agreements(judgements: Judgements, *, confidence: float) -> tuple[AnnotatorAgreement, ...]:
    """Every annotator, ordered by id; `no_overlap` for one who shares no task with anybody."""
    people = len(judgements.annotators)
    size = judgements.per_task()[judgements.task_index]
    same = judgements.counts()[judgements.task_index, judgements.label_index]
    share = np.where(size > 1, (same - 1.0) / np.maximum(size - 1, 1), 0.0)
    shared = np.bincount(judgements.annotator_index, weights=size > 1, minlength=people).astype(np.float64)
    agreeing = np.bincount(judgements.annotator_index, weights=share, minlength=people).astype(np.float64)
    total = np.bincount(judgements.annotator_index, minlength=people)
    low, high = jeffreys(agreeing, trials=shared, confidence=confidence)
    return tuple(
        AnnotatorAgreement(
            name,
            int(total[at]),
            Statistic(float(agreeing[at] / shared[at]), None, float(low[at]), float(high[at]), int(shared[at]))
            if shared[at]
            else undefined("no_overlap", n=0),
        )
        for at, name in enumerate(judgements.annotators)
    )


def task_agreement(judgements: Judgements) -> FloatArray:
    """Share of annotator pairs that agree on each task, (n_tasks,); NaN for tasks with one judgement."""
    counts = judgements.counts()
    size = counts.sum(axis=1)
    pairs = size * (size - 1.0)
    share: FloatArray = np.full(len(size), np.nan)
    np.divide((counts**2).sum(axis=1) - size, pairs, out=share, where=pairs > 0)
    return share

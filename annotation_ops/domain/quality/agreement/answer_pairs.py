"""Every two judgements on the same task, and what their agreement says about tasks, annotators and pairs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.report import AnnotatorAgreement, PairAgreement
from annotation_ops.domain.quality.judgements import FloatArray, IntArray
from annotation_ops.domain.quality.statistic import Statistic, jeffreys, undefined

MAX_PAIRS = 10_000_000
"""An array over pairs is then 80 MB; three annotators on each of three million tasks have nine million."""

_QUANTUM = 2.0**36
"""Values are kept in multiples of 1.5e-11: sums of up to 100,000 of them are exact, so their order cannot matter."""


@dataclass(frozen=True, slots=True)
class AnswerPairs:
    annotators: tuple[str, ...]
    task_index: IntArray = field(repr=False)
    annotator_index: IntArray = field(repr=False)
    """Both (n_judgements,), sorted by task then annotator."""
    size: IntArray
    """Judgements on each task, (n_tasks,)."""
    first: IntArray
    second: IntArray
    """Positions of the two judgements, the lower first, sorted; each (n_pairs,)."""
    offset: IntArray
    """Where the pairs of each judgement with later ones begin, (n_judgements,)."""

    def between(self, first: IntArray, second: IntArray) -> IntArray:
        """Positions of the pairs of these judgements, `first` below `second` and on the same task."""
        return self.offset[first] + second - first - 1

    @property
    def task(self) -> IntArray:
        """The task of each pair."""
        return self.task_index[self.first]

    def per_task(self, values: FloatArray) -> FloatArray:
        """Mean over the pairs of each task, (n_tasks,); NaN for a task without one."""
        total = np.bincount(self.task, weights=values, minlength=len(self.size))
        pairs = self.size * (self.size - 1) / 2.0
        mean: FloatArray = np.full(len(self.size), np.nan)
        np.divide(total, pairs, out=mean, where=pairs > 0)
        return mean


def answer_pairs(
    annotators: tuple[str, ...], *, task_index: IntArray, annotator_index: IntArray, n_tasks: int
) -> AnswerPairs:
    """Raises InvalidInput when there are more pairs than MAX_PAIRS."""
    size = np.bincount(task_index, minlength=n_tasks).astype(np.int64)
    total = int((size * (size - 1) // 2).sum())
    if total > MAX_PAIRS:
        raise InvalidInput(
            f"found {total:,} pairs of judgements on the same task (up to {size.max():,} annotators on one), expected "
            f"at most {MAX_PAIRS:,}. Measure a random part of the annotators or tasks."
        )
    position = np.arange(len(task_index))
    later = np.cumsum(size)[task_index] - position - 1
    first, second = following(later)
    return AnswerPairs(annotators, task_index, annotator_index, size, first, second, np.cumsum(later) - later)


def following(later: IntArray) -> tuple[IntArray, IntArray]:
    """Each position paired with each of the `later[position]` positions behind it."""
    first = np.repeat(np.arange(len(later)), later)
    begin = np.cumsum(later) - later
    return first, np.arange(len(first)) - np.repeat(begin, later) + first + 1


def summable(values: FloatArray) -> FloatArray:
    """The values to within 1.5e-11, such that adding them up gives the same in any order."""
    return np.round(values * _QUANTUM) / _QUANTUM


def share(part: FloatArray, whole: FloatArray, *, empty: float) -> FloatArray:
    """part / whole, summable; `empty` where the whole is 0."""
    return summable(np.divide(part, whole, out=np.full(len(whole), empty), where=whole > 0))


def pair_agreements(
    pairs: AnswerPairs, ratios: Mapping[str, tuple[FloatArray, FloatArray]], *, confidence: float
) -> tuple[PairAgreement, ...]:
    """Every two annotators who share a task, ordered by the two ids.

    Each ratio is a numerator and a denominator per pair of judgements, (n_pairs,), summed over the shared tasks. A ratio of
    sums is the mean of per-task ratios weighted by their denominators: its interval is that of a proportion seen on
    (sum of weights)^2 / (sum of squared weights) tasks (Kish, Survey Sampling, 1965), and too wide rather than too narrow.
    """
    people = len(pairs.annotators)
    code = pairs.annotator_index[pairs.first] * people + pairs.annotator_index[pairs.second]
    codes, which = np.unique(code, return_inverse=True)
    shared = np.bincount(which, minlength=len(codes)).tolist()
    measured = {
        name: _ratios(which, numerator, denominator, n=shared, confidence=confidence)
        for name, (numerator, denominator) in ratios.items()
    }
    return tuple(
        PairAgreement(
            (pairs.annotators[both // people], pairs.annotators[both % people]),
            {name: statistics[at] for name, statistics in measured.items()},
        )
        for at, both in enumerate(codes.tolist())
    )


def _ratios(
    which: IntArray, numerator: FloatArray, denominator: FloatArray, *, n: list[int], confidence: float
) -> list[Statistic]:
    part, whole, squares = (
        np.bincount(which, weights=values, minlength=len(n)).astype(np.float64)
        for values in (numerator, denominator, denominator**2)
    )
    said = whole > 0
    value = np.divide(part, whole, out=np.zeros(len(n)), where=said)
    trials = np.divide(whole**2, squares, out=np.ones(len(n)), where=said)
    low, high = jeffreys(np.minimum(value, 1.0) * trials, trials=trials, confidence=confidence)
    bounds = zip(said.tolist(), value.tolist(), low.tolist(), high.tolist(), n, strict=True)
    return [
        Statistic(found, None, min(lower, found), max(upper, found), tasks) if any_ else undefined(EMPTY, n=tasks)
        for any_, found, lower, upper, tasks in bounds
    ]


EMPTY = "nothing_annotated"
"""Everybody found nothing on every shared task: they agree, but there is nothing to compute a rate of."""


def annotator_agreements(
    pairs: AnswerPairs, values: FloatArray, *, confidence: float
) -> tuple[AnnotatorAgreement, ...]:
    """Every annotator, ordered by id: the mean over tasks of the mean agreement with each of the others.

    `values` are agreements within [0, 1], (n_pairs,); `no_overlap` for one who shares no task with anybody.
    """
    judgements, people = len(pairs.task_index), len(pairs.annotators)
    total = np.bincount(pairs.first, weights=values, minlength=judgements)
    total += np.bincount(pairs.second, weights=values, minlength=judgements)
    others = pairs.size[pairs.task_index] - 1.0
    mean = summable(np.divide(total, others, out=np.zeros(judgements), where=others > 0))
    answers = np.bincount(pairs.annotator_index, minlength=people).tolist()
    shared = np.bincount(pairs.annotator_index, weights=others > 0, minlength=people).astype(np.float64)
    agreeing = np.minimum(np.bincount(pairs.annotator_index, weights=mean, minlength=people), shared)
    low, high = jeffreys(agreeing, trials=shared, confidence=confidence)
    return tuple(
        AnnotatorAgreement(
            name,
            answers[at],
            Statistic(float(agreeing[at] / shared[at]), None, float(low[at]), float(high[at]), int(shared[at]))
            if shared[at]
            else undefined("no_overlap", n=0),
        )
        for at, name in enumerate(pairs.annotators)
    )

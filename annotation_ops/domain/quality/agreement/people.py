"""Agreement of each two annotators, and of each annotator with everybody else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np

from annotation_ops.domain.quality.agreement.coefficients import NO_CHANCE_LEFT
from annotation_ops.domain.quality.agreement.report import AnnotatorAgreement, PairAgreement
from annotation_ops.domain.quality.judgements import FloatArray, IntArray, Judgements
from annotation_ops.domain.quality.statistic import Statistic, jeffreys, undefined

LISTED_PAIRS = 10_000
"""Pairs up to which a report holds objects; more stay arrays, and become objects one by one as they are looked at."""

DENSE_CELLS = 1 << 22
"""Annotators^2 x categories up to which pairs are counted in a table of 32 MB; above, in sorted keys."""


@dataclass(frozen=True, slots=True)
class PairTable(Sequence[PairAgreement]):
    """Every two annotators who share a task, ordered by the two ids, as arrays of shape (n_pairs,)."""

    annotators: tuple[str, ...] = field(repr=False)
    first: IntArray = field(repr=False)
    second: IntArray = field(repr=False)
    """Positions in `annotators`; the first is the lower."""
    n: FloatArray = field(repr=False)
    """Tasks the two share."""
    agreeing: FloatArray = field(repr=False)
    """Of these, tasks on which they gave the same label."""
    low: FloatArray = field(repr=False)
    high: FloatArray = field(repr=False)
    """Bounds of agreeing / n."""
    chance: FloatArray = field(repr=False)
    """Agreement by chance, from the two annotators' own label shares on these tasks."""

    def __len__(self) -> int:
        return len(self.n)

    @overload
    def __getitem__(self, at: int) -> PairAgreement: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[PairAgreement, ...]: ...
    def __getitem__(self, at: int | slice) -> PairAgreement | tuple[PairAgreement, ...]:
        if isinstance(at, slice):
            return tuple(self[position] for position in range(*at.indices(len(self))))
        names = self.annotators[self.first[at]], self.annotators[self.second[at]]
        n, low, high = int(self.n[at]), float(self.low[at]), float(self.high[at])
        share = Statistic(float(self.agreeing[at] / self.n[at]), None, low, high, n)
        return PairAgreement(names, {"percent_agreement": share, "cohen_kappa": _kappa(share, float(self.chance[at]))})

    def kappa(self) -> FloatArray:
        """Cohen's kappa of every pair, NaN where both used one category only."""
        room = 1.0 - self.chance
        kappa: FloatArray = np.full(len(self), np.nan)
        np.divide(self.agreeing / self.n - self.chance, room, out=kappa, where=room > NO_CHANCE_LEFT)
        return kappa


def pair_agreements(judgements: Judgements, *, confidence: float) -> Sequence[PairAgreement]:
    """Every pair that shares a task, ordered by the two ids: a tuple, or above LISTED_PAIRS a PairTable."""
    table = pair_table(judgements, confidence=confidence)
    return table if len(table) > LISTED_PAIRS else table[:]


def pair_table(judgements: Judgements, *, confidence: float) -> PairTable:
    """The same as arrays. Time and memory grow with the pairs that really share a task, not with annotators squared."""
    people = len(judgements.annotators)
    dense = people * people * len(judgements.categories) <= DENSE_CELLS
    code, n, agreeing, chance = (_counted_in_a_table if dense else _counted_by_key)(judgements)
    low, high = _bounds(agreeing, n, confidence=confidence)
    first, second = np.divmod(code, max(1, people))
    return PairTable(judgements.annotators, first, second, n, agreeing, low, high, chance)


def _counted_in_a_table(judgements: Judgements) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    people, q = len(judgements.annotators), len(judgements.categories)
    same = np.zeros(people * people, dtype=np.int64)
    sides = np.zeros((2, people * people * q), dtype=np.int64)
    for first, second in judgements.pair_blocks():
        code = judgements.annotator_index[first] * people + judgements.annotator_index[second]
        labels = judgements.label_index[first], judgements.label_index[second]
        same += np.bincount(code[labels[0] == labels[1]], minlength=len(same))
        for side, label in zip(sides, labels, strict=True):
            side += np.bincount(code * q + label, minlength=len(side))
    table = sides.reshape(2, -1, q)
    shared = table[0].sum(axis=1)
    code = np.flatnonzero(shared)
    n = shared[code].astype(np.float64)
    chance = (table[0][code] * table[1][code]).sum(axis=1) / n**2
    return code, n, same[code].astype(np.float64), chance


def _counted_by_key(judgements: Judgements) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    people, q = len(judgements.annotators), len(judgements.categories)
    same, firsts, seconds = _Tally(), _Tally(), _Tally()
    for first, second in judgements.pair_blocks():
        code = judgements.annotator_index[first] * people + judgements.annotator_index[second]
        labels = judgements.label_index[first], judgements.label_index[second]
        same.add(code[labels[0] == labels[1]])
        firsts.add(code * q + labels[0])
        seconds.add(code * q + labels[1])
    key, times = firsts.total()
    other, other_times = seconds.total()
    code, start = np.unique(key // q, return_index=True)
    n = np.add.reduceat(times, start).astype(np.float64) if len(code) else np.empty(0)
    _, at, other_at = np.intersect1d(key, other, assume_unique=True, return_indices=True)
    both = np.searchsorted(code, key[at] // q)
    chance = np.bincount(both, weights=times[at] * other_times[other_at], minlength=len(code)) / n**2
    same_code, same_times = same.total()
    agreeing = np.zeros(len(code))
    agreeing[np.searchsorted(code, same_code)] = same_times
    return code, n, agreeing, chance


class _Tally:
    """How often each key was added; holds distinct keys, but for a part being added."""

    def __init__(self) -> None:
        self._keys: list[IntArray] = [np.empty(0, dtype=np.int64)]
        self._times: list[IntArray] = [np.empty(0, dtype=np.int64)]

    def add(self, keys: IntArray) -> None:
        found, times = np.unique(keys, return_counts=True)
        self._keys.append(found)
        self._times.append(times.astype(np.int64))
        # Merging when the parts outgrow the whole keeps the work linear but for a logarithm.
        if sum(map(len, self._keys[1:])) > 2 * len(self._keys[0]):
            self.total()

    def total(self) -> tuple[IntArray, IntArray]:
        keys, times = np.concatenate(self._keys), np.concatenate(self._times)
        order = np.argsort(keys, kind="stable")
        keys, times = keys[order], times[order]
        start = np.flatnonzero(np.diff(keys, prepend=-1) != 0)
        if len(keys):
            keys, times = keys[start], np.add.reduceat(times, start)
        self._keys, self._times = [keys], [times]
        return keys, times


def _bounds(agreeing: FloatArray, n: FloatArray, *, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Jeffreys bounds, computed once for each pair of counts that occurs."""
    width = int(n.max(initial=0)) + 1
    kind, which = np.unique((n * width + agreeing).astype(np.int64), return_inverse=True)
    low, high = jeffreys(
        (kind % width).astype(np.float64), trials=(kind // width).astype(np.float64), confidence=confidence
    )
    return low[which], high[which]


def _kappa(share: Statistic, chance: float) -> Statistic:
    if 1.0 - chance <= NO_CHANCE_LEFT:
        return undefined("single_category", n=share.n)
    value, low, high = (
        (float(bound) - chance) / (1.0 - chance) for bound in (share.value, share.low, share.high) if bound is not None
    )
    return Statistic(value, None, max(low, -1.0), high, share.n)


def annotator_agreements(judgements: Judgements, *, confidence: float) -> tuple[AnnotatorAgreement, ...]:
    """Every annotator, ordered by id; `no_overlap` for one who shares no task with anybody."""
    agreeing, shared = annotator_counts(judgements)
    total = np.bincount(judgements.annotator_index, minlength=len(judgements.annotators))
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


def annotator_counts(judgements: Judgements) -> tuple[FloatArray, FloatArray]:
    """Sum over shared tasks of the share of the others who gave the same label, and the number of shared tasks; each
    (n_annotators,)."""
    people = len(judgements.annotators)
    others = judgements.per_task()[judgements.task_index] - 1
    share = judgements.agreeing() / np.maximum(others, 1)
    agreeing = np.bincount(judgements.annotator_index, weights=share, minlength=people)
    shared = np.bincount(judgements.annotator_index[others > 0], minlength=people)
    return agreeing.astype(np.float64), shared.astype(np.float64)


def task_agreement(judgements: Judgements) -> FloatArray:
    """Share of annotator pairs that agree on each task, (n_tasks,); NaN for tasks with one judgement."""
    size = judgements.per_task()
    pairs = size * (size - 1.0)
    agreeing = np.bincount(judgements.task_index, weights=judgements.agreeing(), minlength=len(size))
    share: FloatArray = np.full(len(size), np.nan)
    np.divide(agreeing, pairs, out=share, where=pairs > 0)
    return share

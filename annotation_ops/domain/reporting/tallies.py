"""Who agreed with whom, about what: counts that add up over attempts, and the proportions made of them.

A project is reported by adding the tallies of its attempts, so no report holds all judgements at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np

from annotation_ops.domain.quality.judgements import FloatArray, Judgements
from annotation_ops.domain.quality.statistic import Statistic, jeffreys, undefined
from annotation_ops.domain.records import JsonObject

Key = TypeVar("Key")
Pair: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Tally:
    """`agreeing` of `n`; fractional where one judgement meets several others on its task."""

    agreeing: float
    n: int


@dataclass(frozen=True, slots=True)
class Tallies:
    by_annotator: Mapping[str, Tally] = field(default_factory=dict)
    """annotator -> agreement with the others on the same tasks, own judgement left out; n = shared tasks."""
    by_cell: Mapping[Pair, Tally] = field(default_factory=dict)
    """(annotator, label given) -> the same, over the tasks where the annotator gave that label."""
    by_pair: Mapping[Pair, Tally] = field(default_factory=dict)
    """(annotator, annotator), in order of their ids; n = tasks they share."""
    by_dispute: Mapping[Pair, int] = field(default_factory=dict)
    """(label, label), in category order -> pairs of judgements of one task that gave these two."""
    by_confusion: Mapping[Pair, int] = field(default_factory=dict)
    """(consensus label, label given) where they differ -> judgements."""


def tallies_of(judgements: Judgements, *, consensus: Mapping[str, str]) -> Tallies:
    """Of one attempt. `consensus` maps a task to its label; tasks that are not in it take no part in confusions."""
    people, q = judgements.annotators, judgements.categories
    size = judgements.per_task()[judgements.task_index]
    same = judgements.counts()[judgements.task_index, judgements.label_index]
    shared = size > 1
    share = np.where(shared, (same - 1.0) / np.maximum(size - 1, 1), 0.0)
    cell = judgements.annotator_index * len(q) + judgements.label_index
    return Tallies(
        by_annotator=_named(_sums(judgements.annotator_index, share, shared, len(people)), people),
        by_cell={
            (people[at // len(q)], q[at % len(q)]): tally
            for at, tally in _sums(cell, share, shared, len(people) * len(q)).items()
        },
        by_pair=_pairs(judgements),
        by_dispute=_disputes(judgements),
        by_confusion=_confusions(judgements, consensus),
    )


def tallies_of_document(document: JsonObject) -> Tallies:
    """Of an agreement or verdict document: the people and pairs it names; for task types whose answers are no labels."""
    people = {str(row["annotator_id"]): _tally(row.get("agreement")) for row in document.get("annotators") or ()}
    pairs = {}
    for row in document.get("pairs") or ():
        first, second = sorted(map(str, row["annotators"]))
        statistics = [value for value in row.values() if isinstance(value, dict) and value.get("value") is not None]
        pairs[first, second] = _tally(statistics[0] if statistics else None)
    return Tallies(by_annotator=_present(people), by_pair=_present(pairs))


def added(many: Iterable[Tallies]) -> Tallies:
    """The sum, key by key."""
    parts = tuple(many)
    return Tallies(
        by_annotator=_added_tallies(part.by_annotator for part in parts),
        by_cell=_added_tallies(part.by_cell for part in parts),
        by_pair=_added_tallies(part.by_pair for part in parts),
        by_dispute=added_counts(part.by_dispute for part in parts),
        by_confusion=added_counts(part.by_confusion for part in parts),
    )


def added_counts(many: Iterable[Mapping[Key, int]]) -> dict[Key, int]:
    total: dict[Key, int] = {}
    for part in many:
        for key, count in part.items():
            total[key] = total.get(key, 0) + count
    return total


def proportions(tallies: Mapping[Key, Tally], *, confidence: float) -> dict[Key, Statistic]:
    """Every tally as a proportion with its Jeffreys interval; `no_overlap` where n is 0."""
    n = np.array([tally.n for tally in tallies.values()], dtype=np.float64)
    agreeing = np.array([tally.agreeing for tally in tallies.values()], dtype=np.float64)
    low, high = jeffreys(np.minimum(agreeing, n), trials=n, confidence=confidence)
    return {
        key: Statistic(tally.agreeing / tally.n, None, float(low[at]), float(high[at]), tally.n)
        if tally.n
        else undefined("no_overlap", n=0)
        for at, (key, tally) in enumerate(tallies.items())
    }


def needs_attention(statistic: Statistic) -> tuple[float, float, int]:
    """Sort key: those most certain to be low first, the undefined last."""
    if statistic.value is None:
        return 2.0, 2.0, 0
    high = statistic.high if statistic.high is not None else statistic.value
    return high, statistic.value, -statistic.n


def _sums(group: Any, share: FloatArray, shared: Any, size: int) -> dict[int, Tally]:
    agreeing = np.bincount(group, weights=share, minlength=size)
    n = np.bincount(group[shared], minlength=size)
    seen = np.flatnonzero(n)
    return {at: Tally(float(agreeing[at]), int(n[at])) for at in seen.tolist()}


def _named(sums: Mapping[int, Tally], names: Sequence[str]) -> dict[str, Tally]:
    return {name: sums.get(at, Tally(0.0, 0)) for at, name in enumerate(names)}


def _pairs(judgements: Judgements) -> dict[Pair, Tally]:
    first, second = judgements.pairs()
    people = judgements.annotators
    code = judgements.annotator_index[first] * len(people) + judgements.annotator_index[second]
    found, which = np.unique(code, return_inverse=True)
    same = judgements.label_index[first] == judgements.label_index[second]
    agreeing = np.bincount(which, weights=same, minlength=len(found)).tolist()
    n = np.bincount(which, minlength=len(found)).tolist()
    return {
        (people[at // len(people)], people[at % len(people)]): Tally(a, int(m))
        for at, a, m in zip(found.tolist(), agreeing, n, strict=True)
    }


def _disputes(judgements: Judgements) -> dict[Pair, int]:
    first, second = judgements.pairs()
    q = judgements.categories
    one, other = judgements.label_index[first], judgements.label_index[second]
    differ = one != other
    low, high = np.minimum(one, other)[differ], np.maximum(one, other)[differ]
    found, n = np.unique(low * len(q) + high, return_counts=True)
    return {(q[at // len(q)], q[at % len(q)]): count for at, count in zip(found.tolist(), n.tolist(), strict=True)}


def _confusions(judgements: Judgements, consensus: Mapping[str, str]) -> dict[Pair, int]:
    q = judgements.categories
    position = {name: at for at, name in enumerate(q)}
    meant = np.array([position.get(consensus.get(task, ""), -1) for task in judgements.tasks], dtype=np.int64)
    right = meant[judgements.task_index]
    wrong = (right >= 0) & (right != judgements.label_index)
    found, n = np.unique(right[wrong] * len(q) + judgements.label_index[wrong], return_counts=True)
    return {(q[at // len(q)], q[at % len(q)]): count for at, count in zip(found.tolist(), n.tolist(), strict=True)}


def _tally(statistic: JsonObject | None) -> Tally | None:
    if not statistic or statistic.get("value") is None:
        return None
    n = int(statistic.get("n") or 0)
    return Tally(min(max(float(statistic["value"]), 0.0), 1.0) * n, n)


def _present(tallies: Mapping[Key, Tally | None]) -> dict[Key, Tally]:
    return {key: tally for key, tally in tallies.items() if tally is not None}


def _added_tallies(many: Iterable[Mapping[Key, Tally]]) -> dict[Key, Tally]:
    total: dict[Key, Tally] = {}
    for part in many:
        for key, tally in part.items():
            before = total.get(key)
            total[key] = tally if before is None else Tally(before.agreeing + tally.agreeing, before.n + tally.n)
    return total

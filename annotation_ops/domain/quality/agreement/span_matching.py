"""How much the spans of every two judgements of a document have in common: equal spans, and overlapping ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.quality.agreement.answer_pairs import AnswerPairs, following, summable
from annotation_ops.domain.quality.agreement.matching import best_matching
from annotation_ops.domain.quality.agreement.span_judgements import SpanJudgements
from annotation_ops.domain.quality.judgements import FloatArray, IntArray

CHUNK_EDGES = 2_000_000
"""Pairs of spans compared at a time: about 150 MB."""


@dataclass(frozen=True, slots=True)
class SpanGroups:
    """Equal spans (same task, label, start, end) of different judgements."""

    spans: IntArray
    """Positions in the judgements' spans, sorted by task, label, start, end, judgement."""
    group: IntArray
    """The group of each of them, (n_spans,), counted up."""
    task_label: IntArray
    """task * n_categories + label of each of them."""
    size: IntArray
    """(n_groups,)"""


def span_groups(judgements: SpanJudgements) -> SpanGroups:
    task = judgements.task_index[judgements.judgement_index]
    keys = judgements.end, judgements.start, task * len(judgements.categories) + judgements.label_index
    order = np.lexsort((judgements.judgement_index, *keys))
    new = np.ones(len(order), dtype=np.bool_)
    if len(order):
        new[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    group = np.cumsum(new) - 1
    return SpanGroups(order, group, keys[2][order], np.bincount(group).astype(np.int64))


def equal_spans(
    judgements: SpanJudgements, pairs: AnswerPairs, groups: SpanGroups, *, chunk: int = CHUNK_EDGES
) -> FloatArray:
    """Spans that both judgements of each pair hold, (n_pairs,)."""
    found = np.zeros(len(pairs.first))
    ends = np.cumsum(groups.size)
    later = ends[groups.group] - np.arange(len(groups.group)) - 1 if len(ends) else np.empty(0, dtype=np.int64)
    owner = judgements.judgement_index[groups.spans]
    for first, second in _chunks(later, chunk):
        found += np.bincount(pairs.between(owner[first], owner[second]), minlength=len(found))
    return found


def overlap_of_spans(
    judgements: SpanJudgements, pairs: AnswerPairs, groups: SpanGroups, *, chunk: int = CHUNK_EDGES
) -> FloatArray:
    """Largest total Jaccard overlap of a one-to-one matching of spans of one label, for each pair, (n_pairs,)."""
    found = np.zeros(len(pairs.first))
    start, end = judgements.start[groups.spans], judgements.end[groups.spans]
    if not len(start):
        return found
    owner = judgements.judgement_index[groups.spans]
    stride = int(end.max()) + 1
    # The spans that begin before this one ends follow it directly in the order of label and start.
    within = np.searchsorted(groups.task_label * stride + start, groups.task_label * stride + end, side="left")
    later = within - np.arange(len(start)) - 1
    for first, second in _chunks(later, chunk, apart=_components_end(groups.task_label, start, end)):
        other = owner[first] != owner[second]
        first, second = first[other], second[other]
        common = np.minimum(end[first], end[second]) - start[second]
        covered = np.maximum(end[first], end[second]) - start[first]
        low = np.where(owner[first] < owner[second], first, second)
        high = first + second - low
        pair = pairs.between(owner[low], owner[high])
        spans = groups.spans[low], groups.spans[high]
        found += _matched(judgements, pairs, pair, *spans, summable(common / covered))
    return found


def _components_end(task_label: IntArray, start: IntArray, end: IntArray) -> IntArray:
    """Positions behind which no span overlaps an earlier one of its task and label, so that work can be cut there."""
    reach = np.maximum.accumulate(task_label * (int(end.max()) + 1) + end)
    key = task_label * (int(end.max()) + 1) + start
    return np.append(np.flatnonzero(key[1:] >= reach[:-1]) + 1, len(start))


def _chunks(later: IntArray, chunk: int, *, apart: IntArray | None = None) -> Iterator[tuple[IntArray, IntArray]]:
    """Each position with each of the `later` ones behind it, about `chunk` at a time, cut only at `apart`."""
    done = np.cumsum(later)
    begin = 0
    while begin < len(later):
        before = int(done[begin - 1]) if begin else 0
        stop = max(int(np.searchsorted(done, before + chunk, side="right")), begin + 1)
        if apart is not None:
            fitting = int(np.searchsorted(apart, stop, side="right")) - 1
            stop = int(apart[fitting]) if fitting >= 0 and apart[fitting] > begin else int(apart[fitting + 1])
        first, second = following(later[begin:stop])
        yield first + begin, second + begin
        begin = stop


def _matched(
    judgements: SpanJudgements,
    pairs: AnswerPairs,
    pair: IntArray,
    first: IntArray,
    second: IntArray,
    weight: FloatArray,
) -> FloatArray:
    """Total weight of the best one-to-one matching of spans within each pair of judgements, (n_pairs,)."""
    if not len(pair):
        return np.zeros(len(pairs.first))
    count = np.bincount(judgements.judgement_index, minlength=judgements.n_judgements)
    begin = np.cumsum(count) - count
    sides = []
    for owner, span in ((pairs.first, first), (pairs.second, second)):
        # A span has one node for each pair of judgements it takes part in.
        before = np.cumsum(count[owner]) - count[owner]
        node = before[pair] + span - begin[owner[pair]]
        sides.append(node - node.min())
    chosen = best_matching(sides[0], sides[1], weight)
    return np.bincount(pair[chosen], weights=weight[chosen], minlength=len(pairs.first)).astype(np.float64)

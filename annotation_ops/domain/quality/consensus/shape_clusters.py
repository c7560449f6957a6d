"""Which shapes of different annotators are the same object, and which objects enough of them saw."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.shape_judgements import ShapeJudgements
from annotation_ops.domain.quality.agreement.shape_overlaps import Overlaps, matched_overlaps
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray
from annotation_ops.domain.records import JsonObject

EXACT = 1e-9
"""Shares of weights closer than this are equal."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Groups of shapes, at most one of each annotator, that stand for one object."""

    of_shape: IntArray = field(repr=False)
    """(n_shapes,): the cluster of each shape; clusters are numbered by their first shape."""
    weight: FloatArray = field(repr=False)
    """(n_shapes,): the weight of each shape's annotator."""
    task: IntArray
    label: IntArray
    support: FloatArray
    """Share of the weight of the task's annotators whose shapes are in the cluster. All three (n_clusters,)."""
    kept: BoolArray
    """Support above the share asked for."""
    unsettled: BoolArray
    """(n_tasks,): a support equals that share, or a place that more than that share marked has no class that reaches it."""

    def mean(self, values: FloatArray) -> FloatArray:
        """Weighted mean of `values` (n_shapes,) over each cluster, (n_clusters,)."""
        n = len(self.task)
        total = np.bincount(self.of_shape, weights=self.weight * values, minlength=n)
        mean: FloatArray = total / np.bincount(self.of_shape, weights=self.weight, minlength=n)
        return mean


def cluster_shapes(
    judgements: ShapeJudgements,
    overlaps: Overlaps,
    *,
    weights: Mapping[str, float] | None,
    min_share: float,
    iou: float,
) -> Clusters:
    """Shapes of one class that the optimal matchings of two annotators each join at an IoU of at least `iou`.

    Where these matchings contradict each other (a chain would join two shapes of one annotator, or shapes too far
    apart), the closest are joined first, and two groups only while the mean IoU between them reaches `iou`.
    Raises InvalidInput on weights that are not positive or lack an annotator, min_share outside [0, 1), iou outside (0, 1].
    """
    _check(min_share, iou)
    person = _person_weights(judgements, weights)
    same = judgements.label_index[overlaps.left] == judgements.label_index[overlaps.right]
    joined = matched_overlaps(judgements, overlaps, among=same & (overlaps.iou >= iou))
    of_shape = _clusters(judgements, overlaps, joined=joined, same=same, iou=iou)
    return _supported(judgements, overlaps, of_shape, person=person, min_share=min_share, iou=iou)


def fused_answers(
    judgements: ShapeJudgements,
    clusters: Clusters,
    *,
    key: str,
    shapes: Mapping[int, JsonObject],
    iou: FloatArray,
) -> tuple[FusedAnswer, ...]:
    """One answer a task: the fused shape of each kept cluster, `iou` (n_shapes,) of each shape with it.

    A kept cluster without a shape is left out and its task flagged.
    """
    kept = clusters.kept.copy()
    kept[clusters.kept] = [cluster in shapes for cluster in np.flatnonzero(clusters.kept).tolist()]
    lost = np.zeros(len(judgements.tasks), dtype=np.bool_)
    lost[clusters.task[clusters.kept & ~kept]] = True
    n_annotators = np.bincount(judgements.answer_task, minlength=len(judgements.tasks))
    flagged = clusters.unsettled | lost | (n_annotators < 2)
    found = np.flatnonzero(kept)
    bounds = np.searchsorted(clusters.task[found], np.arange(len(judgements.tasks) + 1)).tolist()
    columns = (
        judgements.tasks,
        _confidence(clusters, kept, iou, n_tasks=len(judgements.tasks)).tolist(),
        n_annotators.tolist(),
        flagged.tolist(),
        _agreement(judgements, clusters, kept, iou).tolist(),
        pairwise(bounds),
    )
    return tuple(
        FusedAnswer(
            task,
            {key: [shapes[cluster] for cluster in found[first:last].tolist()]},
            confidence,
            n,
            needs_human,
            agreement if n > 1 else None,
        )
        for task, confidence, n, needs_human, agreement, (first, last) in zip(*columns, strict=True)
    )


def _confidence(clusters: Clusters, kept: BoolArray, iou: FloatArray, *, n_tasks: int) -> FloatArray:
    """Mean over the clusters of a task of support x mean IoU where kept, 1 - support where not; 1 without clusters."""
    sure = np.where(kept, clusters.support * clusters.mean(iou), 1.0 - clusters.support)
    n = np.bincount(clusters.task, minlength=n_tasks)
    confidence = np.ones(n_tasks)
    np.divide(np.bincount(clusters.task, weights=sure, minlength=n_tasks), n, out=confidence, where=n > 0)
    return np.clip(confidence, 0.0, 1.0)


def _agreement(judgements: ShapeJudgements, clusters: Clusters, kept: BoolArray, iou: FloatArray) -> FloatArray:
    """Mean over annotators of sum of IoU with the fused shapes / max(own shapes, fused shapes), 1 where both are none."""
    matched = np.where(kept[clusters.of_shape], iou, 0.0)
    sums = np.bincount(judgements.shape_answer, weights=matched, minlength=judgements.n_judgements)
    fused = np.bincount(clusters.task[kept], minlength=len(judgements.tasks))[judgements.answer_task]
    larger = np.maximum(judgements.shapes_per_answer(), fused)
    each = np.ones(judgements.n_judgements)
    np.divide(sums, larger, out=each, where=larger > 0)
    total = np.bincount(judgements.answer_task, weights=np.minimum(each, 1.0), minlength=len(judgements.tasks))
    mean: FloatArray = total / np.bincount(judgements.answer_task, minlength=len(judgements.tasks))
    return mean


def _check(min_share: float, iou: float) -> None:
    if not 0.0 <= min_share < 1.0:
        raise InvalidInput(
            f"min_share: found {min_share}, expected a number from 0 to below 1. Use 0.5 for a majority."
        )
    if not 0.0 < iou <= 1.0:
        raise InvalidInput(f"iou: found {iou}, expected a number above 0 and at most 1. Use 0.5.")


def _person_weights(judgements: ShapeJudgements, weights: Mapping[str, float] | None) -> FloatArray:
    if weights is None:
        return np.ones(len(judgements.annotators))
    for name in judgements.annotators:
        weight = weights.get(name, math.nan)
        if not 0.0 < weight < math.inf:
            raise InvalidInput(
                f"weights: found {weights.get(name)} for annotator {name!r}, expected a positive number. "
                "Give each annotator a weight, or leave out the judgements of this one."
            )
    return np.array([weights[name] for name in judgements.annotators], dtype=np.float64)


def _clusters(
    judgements: ShapeJudgements, overlaps: Overlaps, *, joined: BoolArray, same: BoolArray, iou: float
) -> IntArray:
    n = len(judgements.shape_answer)
    left, right = overlaps.left[joined], overlaps.right[joined]
    part = _component(left, right, n=n)
    size = np.bincount(part, minlength=n)
    answers = np.bincount(
        np.unique(part * judgements.n_judgements + judgements.shape_answer) // max(judgements.n_judgements, 1),
        minlength=n,
    )
    whole = np.bincount(part[left], minlength=n) == size * (size - 1) // 2
    contested = ~(whole & (answers == size))
    # Shapes number themselves until a group takes them in, so a cluster bears the number of one of its shapes.
    cluster = np.where(contested[part], np.arange(n), n + part)
    edges = np.flatnonzero(same & contested[part[overlaps.left]] & (part[overlaps.left] == part[overlaps.right]))
    order = edges[np.argsort(part[overlaps.left[edges]], kind="stable")]
    bounds = np.append(np.flatnonzero(np.diff(part[overlaps.left[order]], prepend=-1)), len(order)).tolist()
    for begin, end in pairwise(bounds):
        some = order[begin:end]
        _settle(cluster, judgements.shape_answer, overlaps, some, seeds=joined[some], iou=iou)
    return _renumbered(cluster)


def _settle(
    cluster: IntArray, answer: IntArray, overlaps: Overlaps, edges: IntArray, *, seeds: BoolArray, iou: float
) -> None:
    """Joins the shapes of one contested component, closest first; writes their clusters into `cluster`."""
    left, right = overlaps.left[edges].tolist(), overlaps.right[edges].tolist()
    close = overlaps.iou[edges].tolist()
    near = {frozenset(ends): value for *ends, value in zip(left, right, close, strict=True)}
    reach = dict.fromkeys([*left, *right], 0.0)
    for first, second, value in zip(left, right, close, strict=True):
        reach[first] += value
        reach[second] += value
    groups = {shape: [shape] for shape in reach}
    # Equal IoU is decided by how much the two overlap with everything, which does not depend on names.
    ranked = sorted(
        (at for at, seed in enumerate(seeds.tolist()) if seed),
        key=lambda at: (-close[at], -round(reach[left[at]] + reach[right[at]], 9), left[at], right[at]),
    )
    for at in ranked:
        one, other = groups[left[at]], groups[right[at]]
        if one is other or {answer[shape] for shape in one} & {answer[shape] for shape in other}:
            continue
        total = sum(near.get(frozenset((a, b)), 0.0) for a in one for b in other)
        if total >= (iou - EXACT) * len(one) * len(other):
            one.extend(other)
            groups.update(dict.fromkeys(other, one))
    for shape, group in groups.items():
        cluster[shape] = min(group)


def _component(left: IntArray, right: IntArray, *, n: int) -> IntArray:
    if not n:
        return np.empty(0, dtype=np.int64)
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _renumbered(cluster: IntArray) -> IntArray:
    """Numbers in order of the first shape."""
    _, first, number = np.unique(cluster, return_index=True, return_inverse=True)
    place = np.empty(len(first), dtype=np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    return place[number]


def _supported(
    judgements: ShapeJudgements,
    overlaps: Overlaps,
    of_shape: IntArray,
    *,
    person: FloatArray,
    min_share: float,
    iou: float,
) -> Clusters:
    n, n_tasks = int(of_shape.max(initial=-1)) + 1, len(judgements.tasks)
    answer_weight = person[judgements.answer_annotator]
    whole = np.bincount(judgements.answer_task, weights=answer_weight, minlength=n_tasks)
    weight = answer_weight[judgements.shape_answer]
    first = np.unique(of_shape, return_index=True)[1]
    task = judgements.answer_task[judgements.shape_answer[first]]
    support = np.bincount(of_shape, weights=weight, minlength=n) / whole[task]
    kept = support > min_share + EXACT
    unsettled = np.zeros(n_tasks, dtype=np.bool_)
    unsettled[task[~kept & (support >= min_share - EXACT)]] = True
    # The same place under several classes: seen by enough, named alike by too few.
    ends = of_shape[overlaps.left], of_shape[overlaps.right]
    rival = (overlaps.iou >= iou) & ~kept[ends[0]] & ~kept[ends[1]]
    place = _component(ends[0][rival], ends[1][rival], n=n)
    seen = np.bincount(place, weights=np.where(kept, 0.0, support), minlength=n)
    unsettled[task[~kept & (seen[place] > min_share + EXACT)]] = True
    return Clusters(of_shape, weight, task, judgements.label_index[first], support, kept, unsettled)

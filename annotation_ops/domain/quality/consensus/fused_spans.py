"""One set of spans a document, from the spans of several annotators."""

from collections.abc import Mapping

import numpy as np

from annotation_ops.domain.quality.agreement.answer_pairs import following
from annotation_ops.domain.quality.agreement.boxes import BoxJudgements
from annotation_ops.domain.quality.agreement.shape_overlaps import box_overlaps
from annotation_ops.domain.quality.agreement.span_judgements import SpanJudgements
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.consensus.shape_clusters import Clusters, cluster_shapes, fused_answers
from annotation_ops.domain.quality.judgements import FloatArray, IntArray
from annotation_ops.domain.records import JsonObject

DIGITS = 9
"""Totals of overlap closer than this are equal: the order of summation must not choose."""


def fuse_spans(
    judgements: SpanJudgements,
    *,
    weights: Mapping[str, float] | None = None,
    min_share: float = 0.5,
    overlap: float = 0.5,
) -> tuple[FusedAnswer, ...]:
    """One answer a task, in the order of `judgements.tasks`: the spans that enough of its annotators marked.

    Which spans are one object, which are kept, confidence, flags and errors are those of `fuse_boxes`, with the Jaccard
    overlap (at least `overlap`) in place of IoU. The boundaries are those of one member of each object, never between two:
    the span with the largest weighted total overlap with the others, of equals the longest, then the first.
    """
    boxes = _as_boxes(judgements)
    overlaps = box_overlaps(boxes, boxes.corners)
    clusters = cluster_shapes(boxes, overlaps, weights=weights, min_share=min_share, iou=overlap)
    chosen = _central(judgements, clusters)
    closeness = _jaccard(judgements, np.arange(len(clusters.of_shape)), chosen[clusters.of_shape])
    return fused_answers(boxes, clusters, key="spans", shapes=_values(judgements, clusters, chosen), iou=closeness)


def _as_boxes(judgements: SpanJudgements) -> BoxJudgements:
    """Spans as boxes of height 1, whose IoU is the Jaccard overlap."""
    low, high = np.zeros(len(judgements.start)), np.ones(len(judgements.start))
    return BoxJudgements(
        judgements.tasks,
        judgements.annotators,
        judgements.categories,
        judgements.task_index,
        judgements.annotator_index,
        judgements.judgement_index,
        judgements.label_index,
        corners=np.stack([judgements.start, low, judgements.end, high], axis=1).astype(np.float64),
    )


def _central(judgements: SpanJudgements, clusters: Clusters) -> IntArray:
    """The member of each cluster whose boundaries are taken, (n_clusters,)."""
    members = np.argsort(clusters.of_shape, kind="stable")
    of = clusters.of_shape[members]
    ends = np.searchsorted(of, of, side="right")
    first, second = (members[side] for side in following(ends - np.arange(len(of)) - 1))
    close = _jaccard(judgements, first, second)
    total = clusters.weight.astype(np.float64)
    total += np.bincount(first, weights=close * clusters.weight[second], minlength=len(total))
    total += np.bincount(second, weights=close * clusters.weight[first], minlength=len(total))
    length = judgements.end - judgements.start
    order = np.lexsort((judgements.start, -length, -np.round(total, DIGITS), clusters.of_shape))
    best: IntArray = order[np.searchsorted(clusters.of_shape[order], np.arange(len(clusters.task)))]
    return best


def _jaccard(judgements: SpanJudgements, first: IntArray, second: IntArray) -> FloatArray:
    start, end = judgements.start, judgements.end
    common = np.minimum(end[first], end[second]) - np.maximum(start[first], start[second])
    covered = np.maximum(end[first], end[second]) - np.minimum(start[first], start[second])
    return np.asarray(np.maximum(common, 0) / np.maximum(covered, 1), dtype=np.float64)


def _values(judgements: SpanJudgements, clusters: Clusters, chosen: IntArray) -> dict[int, JsonObject]:
    """The span of each kept cluster; where two came to the same span, of the first."""
    shapes: dict[int, JsonObject] = {}
    seen: set[tuple[int, int, int, int]] = set()
    kept = np.flatnonzero(clusters.kept)
    spans = chosen[kept]
    columns = (kept, clusters.task[kept], clusters.label[kept], judgements.start[spans], judgements.end[spans])
    for cluster, task, label, start, end in zip(*(column.tolist() for column in columns), strict=True):
        if (task, label, start, end) not in seen:
            seen.add((task, label, start, end))
            shapes[cluster] = {"label": judgements.categories[label], "start": start, "end": end}
    return shapes

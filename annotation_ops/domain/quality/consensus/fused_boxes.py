"""One set of boxes a task, from the boxes of several annotators."""

from collections.abc import Mapping

import numpy as np

from annotation_ops.domain.quality.agreement.boxes import CORNERS, BoxJudgements
from annotation_ops.domain.quality.agreement.shape_overlaps import box_iou, box_overlaps
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.consensus.shape_clusters import Clusters, cluster_shapes, fused_answers
from annotation_ops.domain.quality.judgements import FloatArray, IntArray


def fuse_boxes(
    judgements: BoxJudgements,
    *,
    weights: Mapping[str, float] | None = None,
    min_share: float = 0.5,
    iou: float = 0.5,
) -> tuple[FusedAnswer, ...]:
    """One answer a task, in the order of `judgements.tasks`: the boxes that enough of its annotators drew.

    Boxes of one class that match at an IoU of at least `iou` are one object (`cluster_shapes`). It is kept when the
    annotators who drew it have more than `min_share` of the weight of all who answered the task; each corner coordinate
    is their weighted median (the midpoint for two), which one careless annotator of three cannot move far.

    Confidence: mean over the objects of a task of support share x mean IoU with the fused box, and of 1 - support share
    for objects left out. Needs a human: fewer than two annotators, a support of exactly `min_share`, or a place marked
    by enough annotators whose classes differ. Without `weights` everybody counts 1.

    Raises InvalidInput on weights that are not positive or lack an annotator, on min_share outside [0, 1) and iou
    outside (0, 1].
    """
    overlaps = box_overlaps(judgements, judgements.corners)
    clusters = cluster_shapes(judgements, overlaps, weights=weights, min_share=min_share, iou=iou)
    fused = _median_corners(judgements.corners, clusters)
    shapes = {
        cluster: {"label": judgements.categories[label], **dict(zip(CORNERS, corners, strict=True))}
        for cluster, label, corners in zip(
            np.flatnonzero(clusters.kept).tolist(),
            clusters.label[clusters.kept].tolist(),
            fused[clusters.kept].tolist(),
            strict=True,
        )
    }
    closeness = box_iou(judgements.corners, fused[clusters.of_shape])
    return fused_answers(judgements, clusters, key="boxes", shapes=shapes, iou=closeness)


def _median_corners(corners: FloatArray, clusters: Clusters) -> FloatArray:
    n = len(clusters.task)
    columns = [weighted_medians(values, clusters.weight, clusters.of_shape, n_groups=n) for values in corners.T]
    return np.stack(columns, axis=1).reshape(-1, len(CORNERS))


def weighted_medians(values: FloatArray, weight: FloatArray, group: IntArray, *, n_groups: int) -> FloatArray:
    """Weighted median of each group, (n_groups,); halfway between two values that split the weight exactly."""
    if not n_groups:
        return np.empty(0)
    order = np.lexsort((values, group))
    ordered, of = values[order], group[order]
    total = np.bincount(of, weights=weight[order], minlength=n_groups)
    begin = np.searchsorted(of, np.arange(n_groups))
    running = np.concatenate([[0.0], np.cumsum(weight[order])])
    share = (running[1:] - running[begin][of]) / total[of]
    position = np.arange(len(of))
    ends = [
        np.minimum.reduceat(np.where(reached, position, len(of)), begin)
        for reached in (share >= 0.5 - 1e-9, share > 0.5 + 1e-9)
    ]
    return (ordered[ends[0]] + ordered[ends[1]]) / 2.0

"""One set of masks a task, from the masks of several annotators."""

from collections.abc import Mapping

import numpy as np

from annotation_ops.domain.quality.agreement.masks import MaskJudgements, mask_overlaps
from annotation_ops.domain.quality.agreement.runs import Runs, majority_runs, shared_pixels
from annotation_ops.domain.quality.agreement.shape_overlaps import iou_of
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.consensus.shape_clusters import Clusters, cluster_shapes, fused_answers
from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.records import JsonObject


def fuse_masks(
    judgements: MaskJudgements,
    *,
    weights: Mapping[str, float] | None = None,
    min_share: float = 0.5,
    iou: float = 0.5,
) -> tuple[FusedAnswer, ...]:
    """One answer a task: which objects are kept, confidence, flags and errors are those of `fuse_boxes`.

    A pixel belongs to an object when the annotators whose masks cover it have more than half of the weight of those
    who drew the object; of two equal annotators that is where both agree.
    """
    overlaps = mask_overlaps(judgements)
    clusters = cluster_shapes(judgements, overlaps, weights=weights, min_share=min_share, iou=iou)
    fused = majority_runs(judgements.runs, group=clusters.of_shape, weight=clusters.weight, n_groups=len(clusters.task))
    shapes = _values(judgements, clusters, fused)
    return fused_answers(
        judgements, clusters, key="masks", shapes=shapes, iou=_closeness(judgements.runs, clusters, fused)
    )


def _closeness(runs: Runs, clusters: Clusters, fused: Runs) -> FloatArray:
    shared = shared_pixels(runs, fused, np.arange(len(clusters.of_shape)), clusters.of_shape).astype(np.float64)
    return iou_of(shared, runs.areas().astype(np.float64), fused.areas().astype(np.float64)[clusters.of_shape])


def _values(judgements: MaskJudgements, clusters: Clusters, fused: Runs) -> dict[int, JsonObject]:
    first = np.unique(clusters.of_shape, return_index=True)[1]
    found = np.flatnonzero(clusters.kept & (fused.areas() > 0))
    labels, sizes = clusters.label[found].tolist(), judgements.sizes[first[found]].tolist()
    return {
        cluster: {
            "label": judgements.categories[label],
            "size": size,
            "counts": fused.counts(cluster, size[0] * size[1]),
        }
        for cluster, label, size in zip(found.tolist(), labels, sizes, strict=True)
    }

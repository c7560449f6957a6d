"""One set of polygons a task, from the polygons of several annotators."""

from collections.abc import Mapping

import numpy as np
import shapely

from annotation_ops.domain.quality.agreement.polygons import (
    GeometryArray,
    PolygonJudgements,
    polygon_iou,
    polygon_overlaps,
    polygonal,
)
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.consensus.shape_clusters import EXACT, Clusters, cluster_shapes, fused_answers
from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.records import JsonObject


def fuse_polygons(
    judgements: PolygonJudgements,
    *,
    weights: Mapping[str, float] | None = None,
    min_share: float = 0.5,
    iou: float = 0.5,
) -> tuple[FusedAnswer, ...]:
    """One answer a task: which objects are kept, confidence, flags and errors are those of `fuse_boxes`.

    An object is the area covered by annotators with more than half of the weight of those who drew it; of two equal
    annotators that is their intersection. An outline has no room for holes or loose parts: of several parts the largest
    is kept, without its holes, and IoU is measured with what is kept.
    """
    overlaps = polygon_overlaps(judgements)
    clusters = cluster_shapes(judgements, overlaps, weights=weights, min_share=min_share, iou=iou)
    fused = _fused(judgements.geometries, clusters)
    closeness = polygon_iou(judgements.geometries, fused[clusters.of_shape])
    shapes = {
        cluster: _value(judgements.categories[clusters.label[cluster]], fused[cluster])
        for cluster in np.flatnonzero(clusters.kept & (shapely.area(fused) > 0)).tolist()
    }
    return fused_answers(judgements, clusters, key="polygons", shapes=shapes, iou=closeness)


def _fused(geometries: GeometryArray, clusters: Clusters) -> GeometryArray:
    order = np.argsort(clusters.of_shape, kind="stable")
    bounds = np.searchsorted(clusters.of_shape[order], np.arange(len(clusters.task) + 1))
    fused = np.empty(len(clusters.task), dtype=object)
    for cluster in range(len(fused)):
        members = order[bounds[cluster] : bounds[cluster + 1]]
        fused[cluster] = _outline(majority_area(geometries[members], clusters.weight[members]))
    return fused


def majority_area(geometries: GeometryArray, weight: FloatArray) -> shapely.Geometry:
    """The area covered by geometries (n,) with more than half of the total weight (n,)."""
    half = weight.sum() / 2.0 * (1.0 + EXACT)
    if weight.max() > half:
        return geometries[int(weight.argmax())]
    if len(geometries) == 2:
        return polygonal(shapely.intersection(geometries[0], geometries[1]))
    # The outlines together cut the plane into faces, each wholly inside or outside each geometry.
    faces = shapely.get_parts(shapely.polygonize([shapely.union_all(shapely.boundary(geometries))]))
    inside = shapely.point_on_surface(faces)
    covered = sum(one * shapely.covers(area, inside) for one, area in zip(weight, geometries, strict=True))
    return polygonal(shapely.union_all(faces[np.asarray(covered > half, dtype=np.bool_)]))


def _outline(area: shapely.Geometry) -> shapely.Geometry:
    parts = shapely.get_parts(area)
    if not len(parts):
        return shapely.Polygon()
    largest = parts[int(np.argmax(shapely.area(parts)))]
    return shapely.normalize(shapely.polygons(shapely.get_exterior_ring(largest)))


def _value(label: str, outline: shapely.Geometry) -> JsonObject:
    return {"label": label, "points": shapely.get_coordinates(outline)[:-1].tolist()}

"""Agreement on polygons, by exact geometry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import shapely

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.answer_index import AnswerIndex, answer_index, checked_categories
from annotation_ops.domain.quality.agreement.report import DRAWS, AgreementReport
from annotation_ops.domain.quality.agreement.shape_judgements import (
    ShapeJudgements,
    ValueRow,
    column,
    label_column,
    label_position,
    list_cell,
    number_in,
    positions_of,
    refuse_doubled,
    refuse_first,
    refuse_found_and_none,
    shapes_in,
    short,
)
from annotation_ops.domain.quality.agreement.shape_overlaps import Overlaps, box_overlaps, iou_of
from annotation_ops.domain.quality.agreement.shape_report import shape_agreement
from annotation_ops.domain.quality.columns import TextColumn
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray

GeometryArray: TypeAlias = npt.NDArray[np.object_]
Ring: TypeAlias = tuple[tuple[float, float], ...]

LARGEST_COORDINATE = 1e50
"""Areas, and the products geometry computes on the way, stay finite below it."""
BLOCK = 100_000
"""Pairs whose intersection is held at once."""


@dataclass(frozen=True, slots=True)
class PolygonJudgements(ShapeJudgements):
    """Build with `from_values` or `from_columns`, which refuse what the statistics could not bear."""

    task_type: ClassVar[str] = "polygons"

    geometries: GeometryArray = field(repr=False)
    """(n_shapes,): valid shapely polygons or multipolygons of positive area."""
    n_repaired: int
    """Outlines that crossed or touched themselves and were made valid: each enclosed region is kept once."""

    @classmethod
    def from_values(cls, rows: Iterable[ValueRow], *, categories: Sequence[str]) -> "PolygonJudgements":
        """From (task_id, annotator_id, {"polygons": [{"label", "points": [[x, y], ...]}, ...]}) rows, in any order.

        An empty list says: looked, found none. The last point may repeat the first. Raises InvalidInput with the row
        number (from 1) on an unknown label, a coordinate that is no finite number, fewer than three points, an outline
        without area, or one annotator twice on one task.
        """
        position = positions_of(categories)
        answers, shapes = shapes_in(rows, key="polygons")
        row = [number for number, _ in shapes]
        label = [label_position(number, shape.get("label"), position) for number, shape in shapes]
        rings = [_ring(number, shape.get("points")) for number, shape in shapes]
        return _ordered(answers, tuple(categories), row, label, rings)[0]

    @classmethod
    def from_columns(
        cls,
        task_ids: TextColumn,
        annotator_ids: TextColumn,
        columns: Mapping[str, npt.ArrayLike],
        *,
        categories: Sequence[str],
    ) -> "PolygonJudgements":
        """From one row a polygon: columns label, points (JSON text or lists); null points: looked, found none.

        Raises InvalidInput as `from_values` does. An annotator's answer that is there twice is noticed where a row
        says "found none" beside another, or where every polygon of it is repeated.
        """
        names = checked_categories(categories)
        answers = answer_index(task_ids, annotator_ids)
        n = len(answers.row_judgement)
        points = column(columns, "points", n=n)
        refuse_found_and_none(answers, is_none=np.array([value is None for value in points], dtype=np.bool_))
        row = [number for number, value in enumerate(points, start=1) if value is not None]
        label = label_column(columns, answers, rows=np.array(row, dtype=np.int64), categories=names).tolist()
        rings = [_ring(number, list_cell(number, "points", points[number - 1])) for number in row]
        judgements, shape_row, repeats = _ordered(answers, names, row, label, rings)
        refuse_doubled(answers, shape_row=shape_row, repeats=repeats)
        return judgements


def agreement_of_polygons(
    judgements: PolygonJudgements, *, confidence: float = 0.95, seed: int, draws: int = DRAWS
) -> AgreementReport:
    """Agreement of a batch of polygons by intersection over union; the definitions are those of `shape_agreement`.

    Raises InvalidInput when `confidence` is not inside (0, 1) or `draws` is not positive.
    """
    overlaps = polygon_overlaps(judgements)
    return shape_agreement(judgements, overlaps, confidence=confidence, seed=seed, draws=draws, regions=True)


def polygon_overlaps(judgements: PolygonJudgements) -> Overlaps:
    bounds = shapely.bounds(judgements.geometries).reshape(-1, 4)
    near = box_overlaps(judgements, bounds)
    iou = polygon_iou(judgements.geometries[near.left], judgements.geometries[near.right])
    some = np.flatnonzero(iou > 0)
    return Overlaps(near.pairs, near.pair[some], near.left[some], near.right[some], iou[some])


def polygon_iou(first: GeometryArray, second: GeometryArray) -> FloatArray:
    """IoU of geometry i of `first` with geometry i of `second`; (n,), 0 where they only touch."""
    shared = np.zeros(len(first))
    for start in range(0, len(first), BLOCK):
        part = slice(start, start + BLOCK)
        shared[part] = shapely.area(shapely.intersection(first[part], second[part]))
    areas = shapely.area(first), shapely.area(second)
    # Intersecting a polygon with itself may move its area by a rounding error.
    return np.where(shapely.equals_exact(first, second), 1.0, iou_of(shared, *areas))


def _ring(number: int, points: object) -> Ring:
    if not isinstance(points, list) or not all(isinstance(point, list | tuple) and len(point) == 2 for point in points):
        raise InvalidInput(f"row {number}: found points {short(points)}, expected a list of [x, y] pairs.")
    ring = tuple((number_in(number, "x", x), number_in(number, "y", y)) for x, y in points)
    for value in (value for point in ring for value in point):
        if not abs(value) <= LARGEST_COORDINATE:
            raise InvalidInput(
                f"row {number}: found the coordinate {value}, expected a finite number within +-{LARGEST_COORDINATE:g}. "
                "Drop the point or the polygon."
            )
    ring = ring[:-1] if len(ring) > 1 and ring[0] == ring[-1] else ring
    if len(ring) < 3:
        raise InvalidInput(
            f"row {number}: found a polygon of {len(ring)} points, expected at least 3. "
            "Drop it, or say that nothing was found."
        )
    return ring


def _ordered(
    answers: AnswerIndex, categories: tuple[str, ...], row: list[int], label: list[int], rings: list[Ring]
) -> tuple[PolygonJudgements, IntArray, BoolArray]:
    """The judgements in canonical order; of each polygon the row number, and whether it equals the one before."""
    answer = answers.row_judgement[np.array(row, dtype=np.int64) - 1].tolist()
    keys = list(zip(answer, label, rings, strict=True))
    order = sorted(range(len(keys)), key=keys.__getitem__)
    repeats = [at > 0 and keys[this] == keys[order[at - 1]] for at, this in enumerate(order)]
    shape_row = np.array(row, dtype=np.int64)[order]
    geometries, n_repaired = _geometries([rings[at] for at in order])
    refuse_first(
        ~(shapely.area(geometries) > 0),
        rows=shape_row,
        say=lambda shape: (
            f"found the polygon {short(rings[order[shape]])} without area, expected an outline that encloses some. "
            "Drop it, or say that nothing was found."
        ),
    )
    judgements = PolygonJudgements(
        answers.tasks,
        answers.annotators,
        categories,
        answers.task_index,
        answers.annotator_index,
        np.array(answer, dtype=np.int64)[order],
        np.array(label, dtype=np.int64)[order],
        geometries,
        n_repaired,
    )
    return judgements, shape_row, np.array(repeats, dtype=np.bool_)


def _geometries(rings: list[Ring]) -> tuple[GeometryArray, int]:
    sizes = [len(ring) for ring in rings]
    coordinates = np.array([point for ring in rings for point in ring], dtype=np.float64).reshape(-1, 2)
    made = shapely.polygons(shapely.linearrings(coordinates, indices=np.repeat(np.arange(len(rings)), sizes)))
    geometries: GeometryArray = np.asarray(made, dtype=object).reshape(-1)
    crossed = np.flatnonzero(~shapely.is_valid(geometries))
    for at in crossed.tolist():
        geometries[at] = polygonal(shapely.make_valid(geometries[at]))
    return geometries, len(crossed)


def polygonal(geometry: shapely.Geometry) -> shapely.Geometry:
    """The parts of a geometry that have an area, as one polygon or multipolygon, possibly empty."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    areas = [part for part in parts if shapely.get_dimensions(part) == 2]
    return areas[0] if len(areas) == 1 else shapely.MultiPolygon(areas)

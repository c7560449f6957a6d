"""Agreement on axis-parallel boxes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from annotation_ops.domain.quality.agreement.answer_index import AnswerIndex, answer_index, checked_categories
from annotation_ops.domain.quality.agreement.report import DRAWS, AgreementReport
from annotation_ops.domain.quality.agreement.shape_judgements import (
    ShapeJudgements,
    ValueRow,
    label_column,
    label_position,
    number_column,
    number_in,
    positions_of,
    refuse_doubled,
    refuse_first,
    refuse_found_and_none,
    shapes_in,
)
from annotation_ops.domain.quality.agreement.shape_overlaps import box_overlaps
from annotation_ops.domain.quality.agreement.shape_report import shape_agreement
from annotation_ops.domain.quality.columns import TextColumn
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray

CORNERS = ("x_min", "y_min", "x_max", "y_max")
LARGEST_COORDINATE = 1e100
"""Areas and their sums stay finite below it."""


@dataclass(frozen=True, slots=True)
class BoxJudgements(ShapeJudgements):
    """Build with `from_values` or `from_columns`, which refuse what the statistics could not bear."""

    task_type: ClassVar[str] = "boxes"

    corners: FloatArray = field(repr=False)
    """(n_shapes, 4): x_min, y_min, x_max, y_max, in any unit, of positive width and height."""

    @classmethod
    def from_values(cls, rows: Iterable[ValueRow], *, categories: Sequence[str]) -> "BoxJudgements":
        """From (task_id, annotator_id, {"boxes": [{"label", "x_min", "y_min", "x_max", "y_max"}, ...]}), any order.

        An empty list says: looked, found none. Raises InvalidInput with the row number (from 1) on an unknown label, a
        coordinate that is no finite number, a box without area or inverted, or one annotator twice on one task.
        """
        position = positions_of(categories)
        answers, shapes = shapes_in(rows, key="boxes")
        row = np.array([number for number, _ in shapes], dtype=np.int64)
        label = np.array([label_position(number, box.get("label"), position) for number, box in shapes], dtype=np.int64)
        corners = [[number_in(number, name, box.get(name)) for name in CORNERS] for number, box in shapes]
        return _ordered(answers, tuple(categories), row, label, np.array(corners, dtype=np.float64).reshape(-1, 4))[0]

    @classmethod
    def from_columns(
        cls,
        task_ids: TextColumn,
        annotator_ids: TextColumn,
        columns: Mapping[str, npt.ArrayLike],
        *,
        categories: Sequence[str],
    ) -> "BoxJudgements":
        """From one row a box: columns label, x_min, y_min, x_max, y_max; four null coordinates: looked, found none.

        Raises InvalidInput as `from_values` does. An annotator's answer that is there twice is noticed where a row
        says "found none" beside another, or where every box of it is repeated.
        """
        names = checked_categories(categories)
        answers = answer_index(task_ids, annotator_ids)
        n = len(answers.row_judgement)
        corners = np.stack([number_column(columns, name, n=n) for name in CORNERS], axis=1)
        is_none: BoolArray = np.isnan(corners).sum(axis=1) == len(CORNERS)
        refuse_found_and_none(answers, is_none=is_none)
        row = np.flatnonzero(~is_none) + 1
        label = label_column(columns, answers, rows=row, categories=names)
        judgements, row = _ordered(answers, names, row, label, corners[~is_none])
        content = np.column_stack([judgements.shape_answer, judgements.label_index, judgements.corners])
        repeats = np.append(np.zeros(len(row[:1]), dtype=bool), (content[1:] == content[:-1]).all(axis=1))
        refuse_doubled(answers, shape_row=row, repeats=repeats)
        return judgements


def agreement_of_boxes(
    judgements: BoxJudgements, *, confidence: float = 0.95, seed: int, draws: int = DRAWS
) -> AgreementReport:
    """Agreement of a batch of boxes by intersection over union; the definitions are those of `shape_agreement`.

    Raises InvalidInput when `confidence` is not inside (0, 1) or `draws` is not positive.
    """
    overlaps = box_overlaps(judgements, judgements.corners)
    return shape_agreement(judgements, overlaps, confidence=confidence, seed=seed, draws=draws)


def _ordered(
    answers: AnswerIndex, categories: tuple[str, ...], row: IntArray, label: IntArray, corners: FloatArray
) -> tuple[BoxJudgements, IntArray]:
    """The judgements with boxes in canonical order, and the row number of each box in that order."""
    _check(corners, row)
    answer = answers.row_judgement[row - 1]
    order = np.lexsort((*corners.T[::-1], label, answer))
    judgements = BoxJudgements(
        answers.tasks,
        answers.annotators,
        categories,
        answers.task_index,
        answers.annotator_index,
        answer[order],
        label[order],
        np.ascontiguousarray(corners[order]),
    )
    return judgements, row[order]


def _check(corners: FloatArray, row: IntArray) -> None:
    refuse_first(
        (~(np.abs(corners) <= LARGEST_COORDINATE)).sum(axis=1) > 0,
        rows=row,
        say=lambda box: (
            f"found the box {corners[box].tolist()} (x_min, y_min, x_max, y_max), expected finite numbers within "
            f"+-{LARGEST_COORDINATE:g}. Leave all four coordinates empty where nothing was found."
        ),
    )
    sides = corners[:, 2:] - corners[:, :2]
    refuse_first(
        (sides.min(axis=1, initial=1.0) <= 0) | (sides.prod(axis=1) <= 0),
        rows=row,
        say=lambda box: (
            f"found the box {corners[box].tolist()} (x_min, y_min, x_max, y_max), expected x_min < x_max and "
            "y_min < y_max. Swap inverted corners and drop boxes without area."
        ),
    )

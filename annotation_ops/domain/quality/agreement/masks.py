"""Agreement on masks, by arithmetic on runs: no mask is ever decoded to pixels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.answer_index import AnswerIndex, answer_index, checked_categories
from annotation_ops.domain.quality.agreement.report import DRAWS, AgreementReport
from annotation_ops.domain.quality.agreement.runs import Runs, runs_of, shared_pixels
from annotation_ops.domain.quality.agreement.shape_judgements import (
    ShapeJudgements,
    ValueRow,
    column,
    label_column,
    label_position,
    list_cell,
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
from annotation_ops.domain.quality.judgements import BoolArray, IntArray

LARGEST_IMAGE = 2**36
"""Pixels; positions in all masks of a batch together stay within 64-bit integers."""

_Mask = tuple[int, int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class MaskJudgements(ShapeJudgements):
    """Build with `from_values` or `from_columns`, which refuse what the statistics could not bear."""

    task_type: ClassVar[str] = "masks"

    sizes: IntArray = field(repr=False)
    """(n_shapes, 2): height and width in pixels, the same for all masks of a task."""
    runs: Runs = field(repr=False)
    """The foreground of each mask."""

    @classmethod
    def from_values(cls, rows: Iterable[ValueRow], *, categories: Sequence[str]) -> "MaskJudgements":
        """From (task_id, annotator_id, {"masks": [{"label", "size": [height, width], "counts": [...]}, ...]}) rows.

        `counts` is COCO's uncompressed run-length encoding: run lengths down the columns, background first. An empty
        list says: looked, found none. Raises InvalidInput with the row number (from 1) on an unknown label, counts that
        are no whole numbers or do not sum to height * width, a mask without foreground, sizes that differ within a
        task, or one annotator twice on one task.
        """
        position = positions_of(categories)
        answers, shapes = shapes_in(rows, key="masks")
        row = [number for number, _ in shapes]
        label = [label_position(number, shape.get("label"), position) for number, shape in shapes]
        masks = [_mask(number, shape.get("size"), shape.get("counts")) for number, shape in shapes]
        return _ordered(answers, tuple(categories), row, label, masks)[0]

    @classmethod
    def from_columns(
        cls,
        task_ids: TextColumn,
        annotator_ids: TextColumn,
        columns: Mapping[str, npt.ArrayLike],
        *,
        categories: Sequence[str],
    ) -> "MaskJudgements":
        """From one row a mask: columns label, height, width, counts (JSON text or lists); null counts: found none.

        Raises InvalidInput as `from_values` does. An annotator's answer that is there twice is noticed where a row
        says "found none" beside another, or where every mask of it is repeated.
        """
        names = checked_categories(categories)
        answers = answer_index(task_ids, annotator_ids)
        n = len(answers.row_judgement)
        height, width, counts = (column(columns, name, n=n) for name in ("height", "width", "counts"))
        refuse_found_and_none(answers, is_none=np.array([value is None for value in counts], dtype=np.bool_))
        row = [number for number, value in enumerate(counts, start=1) if value is not None]
        label = label_column(columns, answers, rows=np.array(row, dtype=np.int64), categories=names).tolist()
        masks = [
            _mask(
                number,
                [_whole(height[number - 1]), _whole(width[number - 1])],
                list_cell(number, "counts", counts[number - 1]),
            )
            for number in row
        ]
        judgements, shape_row, repeats = _ordered(answers, names, row, label, masks)
        refuse_doubled(answers, shape_row=shape_row, repeats=repeats)
        return judgements


def agreement_of_masks(
    judgements: MaskJudgements, *, confidence: float = 0.95, seed: int, draws: int = DRAWS
) -> AgreementReport:
    """Agreement of a batch of masks by intersection over union; the definitions are those of `shape_agreement`.

    Raises InvalidInput when `confidence` is not inside (0, 1) or `draws` is not positive.
    """
    overlaps = mask_overlaps(judgements)
    return shape_agreement(judgements, overlaps, confidence=confidence, seed=seed, draws=draws, regions=True)


def mask_overlaps(judgements: MaskJudgements) -> Overlaps:
    runs = judgements.runs
    near = box_overlaps(judgements, runs.bounds(judgements.sizes[:, 0]))
    area = runs.areas().astype(np.float64)
    shared = shared_pixels(runs, runs, near.left, near.right).astype(np.float64)
    some = np.flatnonzero(shared > 0)
    iou = iou_of(shared[some], area[near.left[some]], area[near.right[some]])
    return Overlaps(near.pairs, near.pair[some], near.left[some], near.right[some], iou)


def _whole(value: object) -> object:
    """A file's integer column with missing values holds floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _mask(number: int, size: object, counts: object) -> _Mask:
    shape = _whole_numbers(size, least=1)
    if shape is None or len(shape) != 2:
        raise InvalidInput(f"row {number}: found size {short(size)}, expected [height, width] in whole pixels.")
    lengths = _whole_numbers(counts, least=0)
    if lengths is None:
        raise InvalidInput(
            f"row {number}: found counts {short(counts)}, expected a list of run lengths in whole pixels. "
            "Decode compressed run-length encoding first."
        )
    height, width = shape
    if height * width > LARGEST_IMAGE or sum(lengths) != height * width:
        raise InvalidInput(
            f"row {number}: found counts that sum to {sum(lengths)}, expected height * width = {height} * {width} = "
            f"{height * width}, at most {LARGEST_IMAGE}. Check the size and that the encoding is uncompressed."
        )
    return height, width, lengths


def _whole_numbers(found: object, *, least: int) -> tuple[int, ...] | None:
    if not isinstance(found, list | tuple) or not all(type(value) is int and value >= least for value in found):
        return None
    return tuple(found)


def _ordered(
    answers: AnswerIndex, categories: tuple[str, ...], row: list[int], label: list[int], masks: list[_Mask]
) -> tuple[MaskJudgements, IntArray, BoolArray]:
    """The judgements in canonical order; of each mask the row number, and whether it equals the one before."""
    answer = answers.row_judgement[np.array(row, dtype=np.int64) - 1].tolist()
    keys = list(zip(answer, label, masks, strict=True))
    order = sorted(range(len(keys)), key=keys.__getitem__)
    repeats = [at > 0 and keys[this] == keys[order[at - 1]] for at, this in enumerate(order)]
    shape_row = np.array(row, dtype=np.int64)[order]
    sizes = np.array([masks[at][:2] for at in order], dtype=np.int64).reshape(-1, 2)
    runs = _runs([masks[at][2] for at in order])
    refuse_first(
        runs.areas() == 0,
        rows=shape_row,
        say=lambda _: "found a mask without foreground, expected at least one pixel. Drop it.",
    )
    judgements = MaskJudgements(
        answers.tasks,
        answers.annotators,
        categories,
        answers.task_index,
        answers.annotator_index,
        np.array(answer, dtype=np.int64)[order],
        np.array(label, dtype=np.int64)[order],
        sizes,
        runs,
    )
    _refuse_mixed_sizes(judgements, shape_row)
    return judgements, shape_row, np.array(repeats, dtype=np.bool_)


def _runs(counts: list[tuple[int, ...]]) -> Runs:
    length = np.array([len(one) for one in counts], dtype=np.int64)
    count = np.fromiter(chain.from_iterable(counts), dtype=np.int64, count=int(length.sum()))
    shape = np.repeat(np.arange(len(counts)), length)
    begin = np.cumsum(length) - length
    end = np.cumsum(count)
    end = end - np.concatenate([[0], end])[begin][shape]
    foreground = (np.arange(len(count)) - begin[shape]) % 2 == 1
    return runs_of(shape[foreground], (end - count)[foreground], end[foreground], n_masks=len(counts))


def _refuse_mixed_sizes(judgements: MaskJudgements, shape_row: IntArray) -> None:
    task = judgements.answer_task[judgements.shape_answer]
    _, first = np.unique(task, return_index=True)
    expected = judgements.sizes[first[np.unique(task, return_inverse=True)[1]]]
    refuse_first(
        (judgements.sizes != expected).any(axis=1),
        rows=shape_row,
        say=lambda shape: (
            f"found the size {judgements.sizes[shape].tolist()} (height, width), expected "
            f"{expected[shape].tolist()} as in the other masks of task {judgements.tasks[task[shape]]!r}. "
            "Encode all masks of a task at the size of its image."
        ),
    )

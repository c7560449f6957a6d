"""Which shapes of two answers to the same task overlap, and how much: the edges that matching chooses from."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from annotation_ops.domain.quality.agreement.answer_pairs import AnswerPairs
from annotation_ops.domain.quality.agreement.matching import best_matching
from annotation_ops.domain.quality.agreement.shape_judgements import ShapeJudgements
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray

BLOCK = 1 << 15
"""Pairs of shapes looked at together: 256 kB an array, so that the arithmetic stays in the cache of one core."""


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Two shapes that overlap, of the two answers of a pair and of any classes; arrays (n_overlaps,)."""

    pairs: AnswerPairs
    pair: IntArray
    left: IntArray
    """A shape of the pair's first answer."""
    right: IntArray
    iou: FloatArray
    """Intersection over union, 0 < IoU <= 1."""


def box_overlaps(judgements: ShapeJudgements, corners: FloatArray) -> Overlaps:
    """Overlaps of boxes with `corners` (n_shapes, 4); of bounding boxes these are the candidates of other shapes."""
    pairs = judgements.answer_pairs()
    count = judgements.shapes_per_answer()
    start = np.cumsum(count) - count
    groups = np.stack([start[pairs.first], count[pairs.first], start[pairs.second], count[pairs.second]], axis=1)
    group, left, right, iou = grouped_box_iou(corners, groups)
    return Overlaps(pairs, group, left, right, iou)


def matched_overlaps(
    judgements: ShapeJudgements, overlaps: Overlaps, *, among: BoolArray, preferred: BoolArray | None = None
) -> BoolArray:
    """Which overlaps (n_overlaps,) are the one-to-one matching of maximal total IoU of each pair of answers.

    Only overlaps in `among` take part; equal totals are decided as in `best_matching`.
    """
    left, right = _nodes(judgements, overlaps)
    edges = np.flatnonzero(among)
    liked = None if preferred is None else preferred[edges]
    chosen = np.zeros(len(among), dtype=np.bool_)
    chosen[edges[best_matching(left[edges], right[edges], overlaps.iou[edges], preferred=liked)]] = True
    return chosen


def _nodes(judgements: ShapeJudgements, overlaps: Overlaps) -> tuple[IntArray, IntArray]:
    """A number for each shape in each pair: with three answers, a shape takes part in two matchings."""
    count = judgements.shapes_per_answer()
    start = np.cumsum(count) - count
    numbers = []
    for answer, shape in ((overlaps.pairs.first, overlaps.left), (overlaps.pairs.second, overlaps.right)):
        before = np.cumsum(count[answer]) - count[answer]
        numbers.append(shape - start[answer[overlaps.pair]] + before[overlaps.pair])
    return numbers[0], numbers[1]


def box_iou(first: FloatArray, second: FloatArray) -> FloatArray:
    """IoU of box i of `first` with box i of `second`, both (n, 4); (n,), 0 where they only touch."""
    width = np.minimum(first[:, 2], second[:, 2]) - np.maximum(first[:, 0], second[:, 0])
    height = np.minimum(first[:, 3], second[:, 3]) - np.maximum(first[:, 1], second[:, 1])
    shared = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    return iou_of(shared, box_area(first), box_area(second))


def box_area(corners: FloatArray) -> FloatArray:
    area: FloatArray = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    return area


def iou_of(shared: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """From areas. Rounding may put the ratio a little above 1, hence the bound."""
    return np.minimum(shared / (first + second - shared), 1.0)


def grouped_box_iou(corners: FloatArray, groups: IntArray) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """All overlapping boxes within each group: (group, left box, right box, IoU), each (n_overlaps,), IoU > 0.

    `groups` (n_groups, 4): first left box, number of left boxes, first right box, number of right boxes. Groups of one
    size are computed together, the group as the innermost axis, which leaves no Python loop over groups.
    """
    sides = np.ascontiguousarray(corners.T)
    area = box_area(corners)
    found: list[tuple[IntArray, IntArray, IntArray, FloatArray]] = []
    for rows, n_left, n_right, left_start, right_start in _blocks(groups):
        left = left_start[None, :] + np.arange(n_left)[:, None]
        right = right_start[None, :] + np.arange(n_right)[:, None]
        hit = _crossing(sides[0], sides[2], left, right)
        hit &= _crossing(sides[1], sides[3], left, right)
        place = np.flatnonzero(hit)
        # Not divmod: NumPy divides by a constant five times as fast.
        cell = place // len(rows)
        at = place - cell * len(rows)
        row = cell // n_right
        col = cell - row * n_right
        ours, theirs = left_start[at] + row, right_start[at] + col
        shared = _shared_side(sides[0], sides[2], ours, theirs) * _shared_side(sides[1], sides[3], ours, theirs)
        overlaps = rows[at], ours, theirs, iou_of(shared, area[ours], area[theirs])
        # A product of tiny sides can underflow to nothing.
        some = slice(None) if shared.all() else shared > 0
        found.append((overlaps[0][some], overlaps[1][some], overlaps[2][some], overlaps[3][some]))
    if not found:
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing, nothing, np.empty(0)
    group, ours, theirs, iou = (np.concatenate(part) for part in zip(*found, strict=True))
    return group, ours, theirs, iou


def _crossing(low: FloatArray, high: FloatArray, left: IntArray, right: IntArray) -> BoolArray:
    """Which intervals share more than an end, (n_left, n_right, n_groups)."""
    crossing: BoolArray = low[left][:, None, :] < high[right][None, :, :]
    crossing &= low[right][None, :, :] < high[left][:, None, :]
    return crossing


def _shared_side(low: FloatArray, high: FloatArray, left: IntArray, right: IntArray) -> FloatArray:
    return np.minimum(high[left], high[right]) - np.maximum(low[left], low[right])


def _blocks(groups: IntArray) -> Iterator[tuple[IntArray, int, int, IntArray, IntArray]]:
    """Groups of equal size together, at most about BLOCK cells: (rows, n_left, n_right, left starts, right starts)."""
    rows = np.flatnonzero((groups[:, 1] > 0) & (groups[:, 3] > 0))
    key = groups[rows, 1] * (groups[:, 3].max(initial=0) + 1) + groups[rows, 3]
    order = np.argsort(key, kind="stable")
    rows, key = rows[order], key[order]
    bounds = np.append(np.flatnonzero(np.diff(key, prepend=-1)), len(rows))
    for begin, end in pairwise(bounds.tolist()):
        n_left, n_right = groups[rows[begin], 1].item(), groups[rows[begin], 3].item()
        for top in range(0, n_left, max(1, BLOCK // n_right)):
            height = min(n_left - top, max(1, BLOCK // n_right))
            step = max(1, BLOCK // (height * n_right))
            for at in range(begin, end, step):
                some = rows[at : min(at + step, end)]
                yield some, height, n_right, groups[some, 0] + top, groups[some, 2]

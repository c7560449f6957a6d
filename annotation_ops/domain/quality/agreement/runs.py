"""Sets of pixels as runs of positions: areas, intersections and majorities without decoding.

A mask is a sorted list of half-open intervals of positions, counted down the columns of its image.
"""

from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.quality.judgements import FloatArray, IntArray

BLOCK = 1 << 20
"""Runs looked up together: 8 MB an array."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The foreground runs of all masks one after the other; no run is empty, none touches the one before."""

    start: IntArray
    end: IntArray
    """Both (n_runs,)."""
    offset: IntArray
    """(n_masks + 1,): mask i has the runs offset[i] to offset[i + 1]."""

    def mask(self) -> IntArray:
        """The mask of each run."""
        return np.repeat(np.arange(len(self.offset) - 1), np.diff(self.offset))

    def areas(self) -> IntArray:
        """Pixels of each mask, (n_masks,)."""
        total = np.concatenate([[0], np.cumsum(self.end - self.start)])
        areas: IntArray = np.diff(total[self.offset])
        return areas

    def bounds(self, height: IntArray) -> FloatArray:
        """The box around each mask, (n_masks, 4) as x_min, y_min, x_max, y_max; `height` of each image, (n_masks,).

        A run over several columns counts as full columns, so a box may be too high, never too low. No mask is empty.
        """
        if len(self.offset) == 1:
            return np.empty((0, 4))
        rows = height[self.mask()]
        first, last = self.start // rows, (self.end - 1) // rows
        one = first == last
        top = np.where(one, self.start % rows, 0)
        bottom = np.where(one, (self.end - 1) % rows + 1, rows)
        at = self.offset[:-1]
        low = [np.minimum.reduceat(values, at) for values in (first, top)]
        high = [np.maximum.reduceat(values, at) for values in (last + 1, bottom)]
        return np.stack([*low, *high], axis=1).astype(np.float64)

    def counts(self, mask: int, n_pixels: int) -> list[int]:
        """COCO's uncompressed run lengths of one mask in an image of `n_pixels`."""
        part = slice(self.offset[mask], self.offset[mask + 1])
        edges = np.stack([self.start[part], self.end[part]], axis=1).ravel()
        counts: list[int] = np.diff(np.concatenate([[0], edges, [n_pixels]])).tolist()
        return counts[:-1] if counts[-1] == 0 else counts


def shared_pixels(first: Runs, second: Runs, first_mask: IntArray, second_mask: IntArray) -> IntArray:
    """Pixels that mask first_mask[i] of `first` and mask second_mask[i] of `second` have in common, (n,)."""
    work = np.cumsum(np.diff(first.offset)[first_mask])
    shared = np.zeros(len(first_mask), dtype=np.int64)
    begin = 0
    while begin < len(first_mask):
        done = work[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(work, done + BLOCK, side="right")))
        shared[begin:end] = _shared(first, second, first_mask[begin:end], second_mask[begin:end])
        begin = end
    return shared


def _shared(first: Runs, second: Runs, first_mask: IntArray, second_mask: IntArray) -> IntArray:
    count = np.diff(first.offset)[first_mask]
    ends = np.cumsum(count)
    run = np.arange(ends[-1]) - np.repeat(ends - count - first.offset[first_mask], count)
    mask = np.repeat(second_mask, count)
    inside = _pixels_before(second, mask, first.end[run]) - _pixels_before(second, mask, first.start[run])
    total = np.concatenate([[0], np.cumsum(inside)])
    shared: IntArray = total[ends] - total[ends - count]
    return shared


def _pixels_before(runs: Runs, mask: IntArray, position: IntArray) -> IntArray:
    """Foreground pixels of a mask before a position, elementwise."""
    if not len(runs.start):
        return np.zeros(len(mask), dtype=np.int64)
    stride = max(int(runs.end.max()), int(position.max(initial=0))) + 1
    length = runs.end - runs.start
    before = np.concatenate([[0], np.cumsum(length)])
    run = np.searchsorted(runs.mask() * stride + runs.start, mask * stride + position, side="right") - 1
    inside = run >= runs.offset[mask]
    last = np.minimum(position - runs.start[run], length[run]) + before[run]
    return np.where(inside, last - before[runs.offset[mask]], 0)


def runs_of(mask: IntArray, start: IntArray, end: IntArray, *, n_masks: int) -> Runs:
    """Runs from intervals sorted by mask and position that do not overlap; empty ones are dropped, touching ones joined."""
    some = np.flatnonzero(end > start)
    mask, start, end = mask[some], start[some], end[some]
    fresh = np.ones(len(mask), dtype=np.bool_)
    fresh[1:] = (mask[1:] != mask[:-1]) | (start[1:] != end[:-1])
    first = np.flatnonzero(fresh)
    last = np.append(first[1:], len(mask)) - 1
    offset = np.searchsorted(mask[first], np.arange(n_masks + 1))
    return Runs(start[first], end[last[: len(first)]], offset.astype(np.int64))


def majority_runs(runs: Runs, *, group: IntArray, weight: FloatArray, n_groups: int) -> Runs:
    """Of each group of masks, the pixels covered by more than half of the group's weight; one mask a group.

    `group` and `weight` (n_masks,): the group of each mask and its positive weight.
    """
    mask = runs.mask()
    position = np.concatenate([runs.start, runs.end])
    change = np.concatenate([weight[mask], -weight[mask]])
    of = np.concatenate([group[mask]] * 2)
    order = np.lexsort((position, of))
    position, of = position[order], of[order]
    # Each group's changes sum to zero, so one running sum serves all.
    covered = np.cumsum(change[order])
    half = np.bincount(group, weights=weight, minlength=n_groups) / 2.0
    begins = np.flatnonzero((covered[:-1] > half[of[:-1]] * (1.0 + 1e-9)) & (of[:-1] == of[1:]))
    return runs_of(of[begins], position[begins], position[begins + 1], n_masks=n_groups)

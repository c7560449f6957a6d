"""Who answered what: the categorical judgements of one batch as three index arrays."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.columns import Coded, TextColumn, check_lengths, coded

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

BLOCK = 1 << 20
"""Judgements, or cells of a dense table, worked on at a time: 8 MB an array."""


@dataclass(frozen=True, slots=True)
class Judgements:
    """One element of the three index arrays is one judgement; tasks and annotators are sorted by id.

    Build with `from_columns` or `from_rows`, which refuse what the statistics could not bear.
    """

    tasks: tuple[str, ...]
    annotators: tuple[str, ...]
    categories: tuple[str, ...]
    """In taxonomy order: the order of every per-class result."""
    task_index: IntArray = field(repr=False)
    annotator_index: IntArray = field(repr=False)
    label_index: IntArray = field(repr=False)
    """All three (n_judgements,), sorted by task then annotator."""

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[str, str, str]], *, categories: Sequence[str]) -> "Judgements":
        """Judgements from (task_id, annotator_id, label) rows, in any order; rows are counted from 1.

        Raises InvalidInput as `from_columns` does.
        """
        tasks, annotators, labels = [], [], []
        for task, annotator, label in rows:
            tasks.append(task)
            annotators.append(annotator)
            labels.append(label)
        return cls.from_columns(tasks, annotators, labels, categories=categories)

    @classmethod
    def from_columns(
        cls, task_ids: TextColumn, annotator_ids: TextColumn, labels: TextColumn, *, categories: Sequence[str]
    ) -> "Judgements":
        """Judgements from three columns of equal length, in any order of rows; rows are counted from 1.

        Raises InvalidInput on an unknown or missing label, an empty or missing id, one annotator twice on one task
        (always the first such row), on columns of unequal length, or on categories that are empty or repeat themselves.
        """
        position = _positions(categories)
        check_lengths({"task_id": task_ids, "annotator_id": annotator_ids, "label": labels})
        task, annotator, label = coded(task_ids), coded(annotator_ids), coded(labels)
        known = np.array([*(position.get(text, -1) for text in label.texts()), -1], dtype=np.int64)
        label_index = known[label.codes]
        wrong = _first_unusable(task, annotator, label_index)
        if wrong is not None:
            _refuse_repeats(task, annotator, before=wrong)
            raise InvalidInput(_complaint(wrong, task, annotator, label, position))
        task, annotator = task.sorted(), annotator.sorted()
        people, q = max(1, len(annotator.values)), len(categories)
        # One number a judgement sorts twice as fast as an index; 64 bits hold any table that fits into memory.
        key = (task.codes * people + annotator.codes) * q + label_index
        if (np.diff(key) < 0).any():
            key.sort()
        place, labels_sorted = np.divmod(key, q)
        if (np.diff(place) == 0).any():
            _refuse_repeats(task, annotator, before=None)
        return cls(task.texts(), annotator.texts(), tuple(categories), *np.divmod(place, people), labels_sorted)

    @property
    def n_judgements(self) -> int:
        return len(self.task_index)

    def counts(self) -> FloatArray:
        """How many annotators gave each category to each task, (n_tasks, n_categories)."""
        shape = (len(self.tasks), len(self.categories))
        flat = np.bincount(self.task_index * shape[1] + self.label_index, minlength=shape[0] * shape[1])
        return flat.reshape(shape).astype(np.float64)

    def per_task(self) -> IntArray:
        """Judgements on each task, (n_tasks,)."""
        return np.bincount(self.task_index, minlength=len(self.tasks)).astype(np.int64)

    def overlapping(self) -> BoolArray:
        """Which tasks have two judgements or more, (n_tasks,)."""
        return self.per_task() >= 2

    def agreeing(self) -> IntArray:
        """For every judgement, how many others on its task gave the same label, (n_judgements,)."""
        same = np.empty(self.n_judgements, dtype=np.int64)
        q = len(self.categories)
        dense = len(self.tasks) * q <= 32 * self.n_judgements
        for start, stop in self.blocks(BLOCK // 4):
            key = (self.task_index[start:stop] - self.task_index[start]) * q + self.label_index[start:stop]
            if dense:
                same[start:stop] = np.bincount(key)[key] - 1
            else:
                _, which, times = np.unique(key, return_inverse=True, return_counts=True)
                same[start:stop] = times[which] - 1
        return same

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[int, int]]:
        """Ranges of about `size` judgements that never part a task."""
        start = 0
        while start < self.n_judgements:
            stop = min(start + size, self.n_judgements)
            last = self.task_index[stop - 1]
            stop = int(np.searchsorted(self.task_index, last, side="right"))
            yield start, stop
            start = stop

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Positions of every two judgements on the same task, the lower annotator first; each (n_pairs,).

        For many judgements `pair_blocks` needs less memory.
        """
        found = list(self.pair_blocks(size=max(1, self.n_judgements)))
        empty = [np.empty(0, dtype=np.int64)]
        return np.concatenate(empty + [pair[0] for pair in found]), np.concatenate(empty + [pair[1] for pair in found])

    def pair_blocks(self, *, size: int = BLOCK) -> Iterator[tuple[IntArray, IntArray]]:
        """`pairs` in parts: of `size` judgements, and of one distance between the two inside the task."""
        for start, stop in self.blocks(size):
            tasks = self.task_index[start:stop]
            end = np.searchsorted(tasks, tasks, side="right") - 1
            first = np.flatnonzero(end > np.arange(len(tasks)))
            for gap in range(1, len(tasks)):
                first = first[first + gap <= end[first]]
                if not len(first):
                    break
                yield first + start, first + (start + gap)

    def selected(self, keep: BoolArray) -> "Judgements":
        """Only the judgements where `keep` (n_judgements,) is true; tasks and annotators without any are left out."""
        task, tasks = _compact(self.task_index[keep], self.tasks)
        annotator, annotators = _compact(self.annotator_index[keep], self.annotators)
        return Judgements(tasks, annotators, self.categories, task, annotator, self.label_index[keep])

    def by(self, annotators: Collection[str]) -> "Judgements":
        """Only the judgements of these annotators."""
        chosen = np.array([name in annotators for name in self.annotators], dtype=np.bool_)
        return self.selected(chosen[self.annotator_index])


def _compact(index: IntArray, names: tuple[str, ...]) -> tuple[IntArray, tuple[str, ...]]:
    used = np.zeros(len(names), dtype=np.bool_)
    used[index] = True
    place = np.cumsum(used) - 1
    return place[index], tuple(names[at] for at in np.flatnonzero(used).tolist())


def _positions(categories: Sequence[str]) -> dict[str, int]:
    position = {name: index for index, name in enumerate(categories)}
    if not position or len(position) != len(categories):
        raise InvalidInput(
            f"categories: found {list(categories)}, expected at least one, each named once. Take them from the taxonomy."
        )
    return position


def _first_unusable(task: Coded, annotator: Coded, label_index: IntArray) -> int | None:
    bad = _without_id(task) | _without_id(annotator) | (label_index < 0)
    return int(bad.argmax()) if bad.any() else None


def _without_id(column: Coded) -> BoolArray:
    usable = np.append(pc.binary_length(column.values).to_numpy() > 0, False)
    return ~usable[column.codes]


def _refuse_repeats(task: Coded, annotator: Coded, *, before: int | None) -> None:
    """Raises InvalidInput on the first row before row `before` that judges a task a second time, if there is one."""
    key = task.codes[:before] * max(1, len(annotator.values)) + annotator.codes[:before]
    order = np.argsort(key, kind="stable")
    again = np.flatnonzero(np.diff(key[order]) == 0) + 1
    if not len(again):
        return
    row = int(order[again].min())
    first = int(np.flatnonzero(key == key[row])[0])
    raise InvalidInput(
        f"row {row + 1}: found a second judgement of annotator {annotator.found(row)!r} on task {task.found(row)!r} "
        f"(the first is row {first + 1}), expected one. Keep only the latest revision."
    )


def _complaint(row: int, task: Coded, annotator: Coded, label: Coded, position: Mapping[str, int]) -> str:
    for name, column in (("task_id", task), ("annotator_id", annotator)):
        if _without_id(column)[row]:
            return (
                f"row {row + 1}: found {name} {column.found(row)!r}, expected a text that is not empty. Give it an id."
            )
    return (
        f"row {row + 1}: found label {label.found(row)!r}, expected one of {', '.join(map(repr, position))}. "
        "Correct the label or add it to the taxonomy."
    )

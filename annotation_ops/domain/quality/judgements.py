"""Who answered what: the categorical judgements of one batch as three index arrays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from annotation_ops.domain.errors import InvalidInput

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judgements:
    """One element of the three index arrays is one judgement; tasks and annotators are sorted by id.

    Build with `from_rows`, which refuses what the statistics could not bear.
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

        Raises InvalidInput on an unknown or missing label, an empty id, one annotator twice on one task, or on
        categories that are empty or repeat themselves.
        """
        position = _positions(categories)
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for number, (task, annotator, label) in enumerate(rows, start=1):
            _check_ids(number, task, annotator)
            earlier = found.setdefault((task, annotator), (number, _label_position(number, label, position)))
            if earlier[0] != number:
                raise InvalidInput(
                    f"row {number}: found a second judgement of annotator {annotator!r} on task {task!r} "
                    f"(the first is row {earlier[0]}), expected one. Keep only the latest revision."
                )
        return cls._indexed(found, tuple(categories))

    @classmethod
    def _indexed(cls, found: Mapping[tuple[str, str], tuple[int, int]], categories: tuple[str, ...]) -> "Judgements":
        keys = sorted(found)
        tasks = tuple(sorted({task for task, _ in keys}))
        annotators = tuple(sorted({annotator for _, annotator in keys}))
        task_at = {task: index for index, task in enumerate(tasks)}
        annotator_at = {annotator: index for index, annotator in enumerate(annotators)}
        return cls(
            tasks,
            annotators,
            categories,
            np.array([task_at[task] for task, _ in keys], dtype=np.int64),
            np.array([annotator_at[annotator] for _, annotator in keys], dtype=np.int64),
            np.array([found[key][1] for key in keys], dtype=np.int64),
        )

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

    def overlapping(self) -> npt.NDArray[np.bool_]:
        """Which tasks have two judgements or more, (n_tasks,)."""
        return self.per_task() >= 2

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Positions of every two judgements on the same task, the lower annotator first; each (n_pairs,)."""
        firsts, seconds = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for gap in range(1, int(self.per_task().max(initial=0))):
            first = np.flatnonzero(self.task_index[:-gap] == self.task_index[gap:])
            firsts.append(first)
            seconds.append(first + gap)
        return np.concatenate(firsts), np.concatenate(seconds)


def _positions(categories: Sequence[str]) -> dict[str, int]:
    position = {name: index for index, name in enumerate(categories)}
    if not position or len(position) != len(categories):
        raise InvalidInput(
            f"categories: found {list(categories)}, expected at least one, each named once. Take them from the taxonomy."
        )
    return position


def _check_ids(number: int, task: str, annotator: str) -> None:
    for name, value in (("task_id", task), ("annotator_id", annotator)):
        if not isinstance(value, str) or not value:
            raise InvalidInput(
                f"row {number}: found {name} {value!r}, expected a text that is not empty. Give it an id."
            )


def _label_position(number: int, label: str, position: Mapping[str, int]) -> int:
    if label not in position:
        raise InvalidInput(
            f"row {number}: found label {label!r}, expected one of {', '.join(map(repr, position))}. "
            "Correct the label or add it to the taxonomy."
        )
    return position[label]

"""Ids of rows as index arrays: which row belongs to which task, annotator and judgement."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.report import DRAWS
from annotation_ops.domain.quality.columns import INVALID, Coded, TextColumn, check_lengths, coded
from annotation_ops.domain.quality.judgements import IntArray


@dataclass(frozen=True, slots=True)
class AnswerIndex:
    """Judgements in the order of task, then annotator; ids are sorted, so the order of rows does not matter."""

    tasks: tuple[str, ...]
    annotators: tuple[str, ...]
    task_index: IntArray
    annotator_index: IntArray
    """Both (n_judgements,)."""
    row_judgement: IntArray
    """The judgement of each row, (n_rows,)."""
    rows: IntArray | None
    """Row numbers for messages; None: 1, 2, 3 ..."""

    def row(self, at: int) -> int:
        return at + 1 if self.rows is None else int(self.rows[at])

    def who(self, at: int) -> str:
        """Whose judgement of what the row at this position belongs to, for messages."""
        judgement = self.row_judgement[at]
        annotator = self.annotators[self.annotator_index[judgement]]
        return f"annotator {annotator!r} on task {self.tasks[self.task_index[judgement]]!r}"


def answer_index(task_ids: TextColumn, annotator_ids: TextColumn, *, rows: IntArray | None = None) -> AnswerIndex:
    """The judgements that rows belong to; rows without a number of their own count from 1.

    Raises InvalidInput on a missing or empty id, and on columns of different length.
    """
    check_lengths({"task_id": task_ids, "annotator_id": annotator_ids})
    task, annotator = (
        _ids(column, name, rows) for column, name in ((task_ids, "task_id"), (annotator_ids, "annotator_id"))
    )
    people = max(len(annotator.values), 1)
    codes, row_judgement = np.unique(task.codes * people + annotator.codes, return_inverse=True)
    indices = np.divmod(codes, people)
    return AnswerIndex(task.texts(), annotator.texts(), *indices, row_judgement.astype(np.int64), rows)


def _ids(column: TextColumn, name: str, rows: IntArray | None) -> Coded:
    ids = coded(column)
    usable = np.array([*map(bool, ids.texts()), False])
    wrong = np.flatnonzero(~usable[ids.codes])
    if len(wrong):
        at = int(wrong[0])
        row = at + 1 if rows is None else int(rows[at])
        raise InvalidInput(
            f"row {row}: found {name} {ids.found(at)!r}, expected a text that is not empty. Give it an id."
        )
    return ids.sorted()


def label_index(column: TextColumn, index: AnswerIndex, *, categories: Sequence[str]) -> IntArray:
    """The position of each row's label among the categories, INVALID where it is missing, (n_rows,).

    Raises InvalidInput on a label that is none of the categories.
    """
    labels = coded(column)
    position = {name: at for at, name in enumerate(categories)}
    known = np.array([*(position.get(text, INVALID) for text in labels.texts()), INVALID], dtype=np.int64)
    found: IntArray = known[labels.codes]
    unknown = np.flatnonzero((found == INVALID) & (labels.codes != INVALID))
    if len(unknown):
        at = int(unknown[0])
        raise InvalidInput(
            f"row {index.row(at)}: found label {labels.found(at)!r}, "
            f"expected one of {', '.join(map(repr, categories[:20]))}. Correct the label or add it to the taxonomy."
        )
    return found


def checked_categories(categories: Sequence[str]) -> tuple[str, ...]:
    """Raises InvalidInput on categories that are empty or repeat themselves."""
    if not categories or len(set(categories)) != len(categories):
        raise InvalidInput(
            f"categories: found {list(categories)}, expected at least one, each named once. Take them from the taxonomy."
        )
    return tuple(categories)


def check_interval(confidence: float, draws: int) -> None:
    """Raises InvalidInput when `confidence` is not inside (0, 1) or `draws` is not positive."""
    if not 0.0 < confidence < 1.0:
        raise InvalidInput(f"confidence: found {confidence}, expected a number between 0 and 1. Use 0.95.")
    if draws < 1:
        raise InvalidInput(f"draws: found {draws}, expected at least 1. Use {DRAWS}.")

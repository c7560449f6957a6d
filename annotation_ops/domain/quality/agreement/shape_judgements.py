"""Who drew what: the answers of a batch as index arrays, and what every kind of shape shares when it is read.

An answer is what one annotator said about one task; it may hold any number of shapes, also none.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.answer_index import (
    AnswerIndex,
    answer_index,
    checked_categories,
    label_index,
)
from annotation_ops.domain.quality.agreement.answer_pairs import AnswerPairs, answer_pairs
from annotation_ops.domain.quality.columns import INVALID
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray
from annotation_ops.domain.records import JsonObject

ValueRow: TypeAlias = tuple[str, str, JsonObject]
"""task_id, annotator_id, the answer as JSON."""


@dataclass(frozen=True, slots=True)
class ShapeJudgements:
    """The answers, sorted by task then annotator, and the shapes in them, sorted by answer, class and geometry."""

    task_type: ClassVar[str] = "shapes"

    tasks: tuple[str, ...]
    annotators: tuple[str, ...]
    categories: tuple[str, ...]
    """In taxonomy order."""
    answer_task: IntArray = field(repr=False)
    answer_annotator: IntArray = field(repr=False)
    """Both (n_answers,): one entry per task and annotator, also where nothing was found."""
    shape_answer: IntArray = field(repr=False)
    label_index: IntArray = field(repr=False)
    """Both (n_shapes,)."""

    @property
    def n_judgements(self) -> int:
        """AnswerIndex, not shapes."""
        return len(self.answer_task)

    def shapes_per_answer(self) -> IntArray:
        return np.bincount(self.shape_answer, minlength=self.n_judgements).astype(np.int64)

    def answer_pairs(self) -> AnswerPairs:
        """Raises InvalidInput when there are too many to compare."""
        return answer_pairs(
            self.annotators,
            task_index=self.answer_task,
            annotator_index=self.answer_annotator,
            n_tasks=len(self.tasks),
        )


def label_position(number: int, label: object, position: Mapping[str, int]) -> int:
    if not isinstance(label, str) or label not in position:
        raise InvalidInput(
            f"row {number}: found label {short(label)}, expected one of {', '.join(map(repr, list(position)[:20]))}. "
            "Correct the label or add it to the taxonomy."
        )
    return position[label]


def positions_of(categories: Sequence[str]) -> dict[str, int]:
    return {name: at for at, name in enumerate(checked_categories(categories))}


def label_column(
    columns: Mapping[str, npt.ArrayLike], answers: AnswerIndex, *, rows: IntArray, categories: tuple[str, ...]
) -> IntArray:
    """Positions of the labels of the rows with these numbers, in their order."""
    labels = label_index(_given(columns, "label"), answers, categories=categories)[rows - 1]
    position = {name: at for at, name in enumerate(categories)}
    refuse_first(
        labels == INVALID, rows=rows, say=lambda _: "found no label, expected " + ", ".join(map(repr, position))
    )
    return labels


def shapes_in(rows: Iterable[ValueRow], *, key: str) -> tuple[AnswerIndex, list[tuple[int, JsonObject]]]:
    """The answers of rows of JSON values, and every shape with the number of its row.

    Raises InvalidInput on a bad id, one annotator twice on one task, or a value that is not {key: [object, ...]}.
    """
    task_ids: list[str] = []
    annotator_ids: list[str] = []
    shapes: list[tuple[int, JsonObject]] = []
    for number, (task_id, annotator_id, value) in enumerate(rows, start=1):
        task_ids.append(task_id)
        annotator_ids.append(annotator_id)
        shapes.extend((number, shape) for shape in _list_in(number, value, key=key))
    answers = answer_index(task_ids, annotator_ids)
    _refuse_two_answers(answers)
    return answers, shapes


def _list_in(number: int, value: object, *, key: str) -> list[JsonObject]:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, list) or not all(isinstance(shape, dict) for shape in found):
        raise InvalidInput(
            f'row {number}: found the value {short(value)}, expected {{"{key}": [{{...}}, ...]}}. '
            f'Write an answer that found nothing as {{"{key}": []}}.'
        )
    return found


def _refuse_two_answers(answers: AnswerIndex) -> None:
    order = np.argsort(answers.row_judgement, kind="stable")
    again = np.flatnonzero(np.diff(answers.row_judgement[order]) == 0)
    if len(again):
        at = again[np.argmin(order[again + 1])]
        refuse_second_answer(answers, row=int(order[at + 1]) + 1, earlier=int(order[at]) + 1)


def refuse_second_answer(answers: AnswerIndex, *, row: int, earlier: int) -> None:
    raise InvalidInput(
        f"row {row}: found a second answer of {answers.who(row - 1)} (the first is row {earlier}), expected one. "
        "Keep only the latest revision."
    )


def refuse_doubled(answers: AnswerIndex, *, shape_row: IntArray, repeats: BoolArray) -> None:
    """Refuses an answer that a file holds twice: each of its shapes is there at least two times.

    `shape_row`: row number of each shape, shapes sorted by answer and content; `repeats`: equal to the one before.
    """
    if not repeats.any():
        return
    first = np.flatnonzero(~repeats)
    answer = answers.row_judgement[shape_row[first] - 1]
    times = np.diff(np.append(first, len(repeats)))
    single = np.bincount(answer[times == 1], minlength=len(answers.task_index))
    doubled = np.flatnonzero((times > 1) & (single[answer] == 0))
    if len(doubled):
        rows = np.sort(shape_row[first[doubled[0]] : first[doubled[0]] + times[doubled[0]]])
        refuse_second_answer(answers, row=int(rows[1]), earlier=int(rows[0]))


def refuse_found_and_none(answers: AnswerIndex, *, is_none: BoolArray) -> None:
    """Refuses an answer that has a "found none" row beside another row."""
    rows = np.bincount(answers.row_judgement, minlength=len(answers.task_index))
    at = np.flatnonzero(is_none & (rows[answers.row_judgement] > 1))
    if len(at):
        same = np.flatnonzero(answers.row_judgement == answers.row_judgement[at[0]])
        refuse_second_answer(answers, row=int(same[1]) + 1, earlier=int(same[0]) + 1)


def _given(columns: Mapping[str, npt.ArrayLike], name: str) -> npt.ArrayLike:
    if name not in columns:
        raise InvalidInput(f"found the columns {sorted(columns)}, expected a column {name!r}. Add it or rename one.")
    return columns[name]


def column(columns: Mapping[str, npt.ArrayLike], name: str, *, n: int) -> list[object]:
    """A column of a file as Python values, missing ones as None."""
    values: list[object] = np.asarray(_given(columns, name), dtype=object).tolist()
    if len(values) != n:
        raise InvalidInput(f"column {name!r}: found {len(values)} rows, expected {n} as in task_id.")
    return [None if isinstance(value, float) and value != value else value for value in values]


def number_column(columns: Mapping[str, npt.ArrayLike], name: str, *, n: int) -> FloatArray:
    """A column of numbers, missing ones as NaN; InvalidInput on anything that is no number."""
    plain = np.asarray(_given(columns, name))
    if plain.dtype.kind in "fiu" and plain.shape == (n,):
        return plain.astype(np.float64)
    values = column(columns, name, n=n)
    return np.array(
        [np.nan if value is None else number_in(row, name, value) for row, value in enumerate(values, start=1)],
        dtype=np.float64,
    )


def number_in(row: int, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(
            f"row {row}: found {name} {short(value)}, expected a number. Write it without quotes or units."
        )
    return float(value) if abs(value) < 1e300 else np.inf


def list_cell(row: int, name: str, value: object) -> list[object]:
    """A list, an array, or a list as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    found = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(found, list | tuple):
        raise InvalidInput(f"row {row}: found {name} {short(value)}, expected a list of numbers, as JSON or as a list.")
    return [part.tolist() if isinstance(part, np.ndarray) else part for part in found]


def refuse_first(bad: BoolArray, *, rows: IntArray, say: Callable[[int], str]) -> None:
    """Raises InvalidInput about the bad element with the lowest row number; `say` gets its position."""
    at = np.flatnonzero(bad)
    if len(at):
        first = at[np.argmin(rows[at])]
        raise InvalidInput(f"row {rows[first]}: {say(int(first))}")


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

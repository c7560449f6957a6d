"""Spans of text as index arrays: which annotator marked what, where, in which document."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.answer_index import (
    AnswerIndex,
    answer_index,
    checked_categories,
    label_index,
)
from annotation_ops.domain.quality.columns import TextColumn, check_lengths
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray
from annotation_ops.domain.records import JsonObject

MAX_OFFSET = 2**31 - 1
"""Documents are shorter than two billion characters; sort keys of task and offset then fit in 64 bits."""

SpanColumn: TypeAlias = TextColumn | Sequence[str | None] | Sequence[int | None] | IntArray | FloatArray
"""Texts or whole numbers by row; None, NaN and Arrow nulls are missing values."""

_FIELDS = ("label", "start", "end")


@dataclass(frozen=True, slots=True)
class SpanJudgements:
    """A judgement is one annotator's set of spans of one document, which may be empty.

    Build with `from_values` or `from_columns`, which refuse what the statistics could not bear.
    """

    tasks: tuple[str, ...]
    annotators: tuple[str, ...]
    categories: tuple[str, ...]
    task_index: IntArray = field(repr=False)
    annotator_index: IntArray = field(repr=False)
    """Both (n_judgements,), sorted by task then annotator."""
    judgement_index: IntArray = field(repr=False)
    label_index: IntArray = field(repr=False)
    start: IntArray = field(repr=False)
    end: IntArray = field(repr=False)
    """All four (n_spans,), sorted by judgement, label, start, end; half-open offsets."""

    @property
    def task_type(self) -> str:
        return "spans"

    @property
    def n_judgements(self) -> int:
        return len(self.task_index)

    def value(self, spans: IntArray) -> JsonObject:
        """The spans at these positions as an annotation value."""
        return {
            "spans": [
                {"label": self.categories[label], "start": start, "end": end}
                for label, start, end in zip(
                    self.label_index[spans].tolist(), self.start[spans].tolist(), self.end[spans].tolist(), strict=True
                )
            ]
        }

    @classmethod
    def from_values(cls, rows: Iterable[tuple[str, str, JsonObject]], *, categories: Sequence[str]) -> "SpanJudgements":
        """From (task_id, annotator_id, {"spans": [{"label", "start", "end"}, ...]}) rows, counted from 1.

        Raises InvalidInput on a value of another shape, an unknown label, offsets that are no span, the same span twice,
        or one annotator twice on one task.
        """
        tasks: list[str] = []
        annotators: list[str] = []
        spans: list[tuple[str | None, int | None, int | None]] = []
        numbers: list[int] = []
        seen: dict[tuple[str, str], int] = {}
        for number, (task, annotator, value) in zip(count(1), rows, strict=False):
            refuse_second(seen, task, annotator, number)
            found = _spans(value, number) or [(None, None, None)]
            tasks += [task] * len(found)
            annotators += [annotator] * len(found)
            numbers += [number] * len(found)
            spans += found
        columns = {name: [span[at] for span in spans] for at, name in enumerate(_FIELDS)}
        return _build(tasks, annotators, columns, categories=categories, rows=np.array(numbers, dtype=np.int64))

    @classmethod
    def from_columns(
        cls,
        task_ids: TextColumn,
        annotator_ids: TextColumn,
        columns: Mapping[str, SpanColumn],
        *,
        categories: Sequence[str],
    ) -> "SpanJudgements":
        """From columns `label`, `start`, `end`, one row a span; a row of nulls means looked, found none.

        Raises InvalidInput as `from_values`; and where a row of nulls stands beside spans of the same judgement.
        """
        return _build(task_ids, annotator_ids, columns, categories=categories, rows=None)


def refuse_second(seen: dict[tuple[str, str], int], task: str, annotator: str, number: int) -> None:
    """Raises InvalidInput when this annotator has judged this task in an earlier row."""
    earlier = seen.setdefault((task, annotator), number)
    if earlier != number:
        raise InvalidInput(
            f"row {number}: found a second judgement of annotator {annotator!r} on task {task!r} "
            f"(the first is row {earlier}), expected one. Keep only the latest revision."
        )


def _spans(value: JsonObject, number: int) -> list[tuple[str | None, int | None, int | None]]:
    spans = value.get("spans") if isinstance(value, dict) else None
    if not isinstance(spans, list):
        raise InvalidInput(
            f'row {number}: found {value!r:.80}, expected {{"spans": [...]}}; an empty list = found none.'
        )
    for span in spans:
        sound = isinstance(span, dict) and isinstance(span.get("label"), str)
        if not sound or not all(type(span.get(name)) is int for name in ("start", "end")):
            raise InvalidInput(
                f"row {number}: found span {span!r:.80}, expected a label as text, start and end as whole numbers."
            )
    return [(span["label"], span["start"], span["end"]) for span in spans]


def _build(
    task_ids: TextColumn,
    annotator_ids: TextColumn,
    columns: Mapping[str, SpanColumn],
    *,
    categories: Sequence[str],
    rows: IntArray | None,
) -> SpanJudgements:
    names = checked_categories(categories)
    index = answer_index(task_ids, annotator_ids, rows=rows)
    check_lengths({"task_id": task_ids, **{name: columns[name] for name in _FIELDS}})
    label = label_index(columns["label"], index, categories=names)
    start, end = (_offsets(columns[name], name, index) for name in ("start", "end"))
    lacking = np.stack([label < 0, start < 0, end < 0])
    empty, partial = lacking.sum(axis=0) == len(_FIELDS), lacking.any(axis=0)
    _check_rows(index, partial & ~empty, start, end)
    _check_empty(index, empty)
    kept = np.flatnonzero(~empty)
    order = kept[np.lexsort((end[kept], start[kept], label[kept], index.row_judgement[kept]))]
    arrays = index.row_judgement[order], label[order], start[order], end[order]
    _check_duplicates(index, arrays, order, names)
    return SpanJudgements(index.tasks, index.annotators, names, index.task_index, index.annotator_index, *arrays)


def _offsets(values: SpanColumn, name: str, index: AnswerIndex) -> IntArray:
    """A column of offsets, -1 where it is missing, (n_rows,). Raises InvalidInput on what is no whole number."""
    try:
        column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InvalidInput(f"{name}: found values of mixed types ({error}), expected whole numbers.") from error
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise InvalidInput(f"{name}: found values of type {kind}, expected whole numbers.")
    missing = np.asarray(column.is_null(nan_is_null=True))
    numbers = np.where(missing, 0.0, np.asarray(column.cast(pa.float64(), safe=False).fill_null(0.0)))
    wrong = np.flatnonzero((numbers != np.floor(numbers)) | (numbers > MAX_OFFSET) | (numbers < 0))
    if len(wrong):
        at = int(wrong[0])
        raise InvalidInput(
            f"row {index.row(at)}: found {name} {numbers[at]:g}, expected a whole number from 0 to {MAX_OFFSET}."
        )
    return np.where(missing, -1, numbers).astype(np.int64)


def _check_rows(index: AnswerIndex, partial: BoolArray, start: IntArray, end: IntArray) -> None:
    lacking = np.flatnonzero(partial)
    if len(lacking):
        raise InvalidInput(
            f"row {index.row(int(lacking[0]))}: found a span that lacks its label, start or end, expected all three, or "
            "none of them (looked, found none)."
        )
    wrong = np.flatnonzero((start >= 0) & (end <= start))
    if len(wrong):
        at = int(wrong[0])
        raise InvalidInput(
            f"row {index.row(at)}: found a span from {start[at]} to {end[at]}, expected an end after the start; "
            "spans are half-open."
        )


def _check_empty(index: AnswerIndex, empty: BoolArray) -> None:
    per_judgement = np.bincount(index.row_judgement, minlength=len(index.task_index))
    wrong = np.flatnonzero(empty & (per_judgement[index.row_judgement] > 1))
    if len(wrong):
        at = int(wrong[0])
        raise InvalidInput(
            f"row {index.row(at)}: found that nothing was marked by {index.who(at)}, and another row of that judgement, "
            "expected either. Remove one of the two."
        )


def _check_duplicates(
    index: AnswerIndex, arrays: tuple[IntArray, ...], order: IntArray, names: tuple[str, ...]
) -> None:
    same = np.ones(max(len(order) - 1, 0), dtype=np.bool_)
    for values in arrays:
        same &= values[1:] == values[:-1]
    if same.any():
        at = int(np.flatnonzero(same)[0])
        first, second = sorted((int(order[at]), int(order[at + 1])))
        raise InvalidInput(
            f"row {index.row(second)}: found the span {names[arrays[1][at]]!r} {arrays[2][at]} to {arrays[3][at]} of "
            f"{index.who(second)} a second time (the first is row {index.row(first)}), expected each span once."
        )

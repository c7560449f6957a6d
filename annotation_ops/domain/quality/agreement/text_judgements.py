"""Transcriptions and other free texts, normalised once and kept once."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.answer_index import AnswerIndex, answer_index
from annotation_ops.domain.quality.agreement.edit_distance import Sequences
from annotation_ops.domain.quality.agreement.span_judgements import refuse_second
from annotation_ops.domain.quality.columns import INVALID, Coded, TextColumn, check_lengths, coded
from annotation_ops.domain.quality.judgements import IntArray
from annotation_ops.domain.records import JsonObject

MAX_CHARACTERS = 20_000
"""About ten pages. Two unrelated texts of this length take 0.2 s to compare, and the time grows with the square."""


def normalised(text: str) -> str:
    """Unicode NFC, runs of white space as one blank, none at the ends; case and punctuation stay."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())


@dataclass(frozen=True, slots=True)
class TextJudgements:
    """A judgement is one annotator's text for one task, which may be empty (nothing to transcribe)."""

    tasks: tuple[str, ...]
    annotators: tuple[str, ...]
    categories: tuple[str, ...]
    """Kept as given; texts have no classes."""
    task_index: IntArray = field(repr=False)
    annotator_index: IntArray = field(repr=False)
    text_index: IntArray = field(repr=False)
    """All three (n_judgements,), sorted by task then annotator."""
    texts: tuple[str, ...] = field(repr=False)
    """The different texts, normalised and sorted."""

    @property
    def task_type(self) -> str:
        return "text"

    @property
    def n_judgements(self) -> int:
        return len(self.task_index)

    @classmethod
    def from_values(
        cls, rows: Iterable[tuple[str, str, JsonObject]], *, categories: Sequence[str] = ()
    ) -> "TextJudgements":
        """From (task_id, annotator_id, {"text": "..."}) rows, counted from 1.

        Raises InvalidInput on a value of another shape, a text of more than MAX_CHARACTERS, or one annotator twice on one
        task.
        """
        tasks: list[str] = []
        annotators: list[str] = []
        texts: list[str] = []
        seen: dict[tuple[str, str], int] = {}
        for number, (task, annotator, value) in zip(count(1), rows, strict=False):
            refuse_second(seen, task, annotator, number)
            text = value.get("text") if isinstance(value, dict) else None
            if not isinstance(text, str):
                raise InvalidInput(f'row {number}: found {value!r:.80}, expected {{"text": "..."}}.')
            tasks.append(task)
            annotators.append(annotator)
            texts.append(text)
        return cls.from_columns(tasks, annotators, {"value": texts}, categories=categories)

    @classmethod
    def from_columns(
        cls,
        task_ids: TextColumn,
        annotator_ids: TextColumn,
        columns: Mapping[str, TextColumn],
        *,
        categories: Sequence[str] = (),
    ) -> "TextJudgements":
        """From the column `value`; an empty text is an answer, a missing one is not. Raises as `from_values`."""
        index = answer_index(task_ids, annotator_ids)
        check_lengths({"task_id": task_ids, "value": columns["value"]})
        written = coded(columns["value"])
        _check_texts(written)
        _check_single(index)
        clean = [normalised(text) for text in written.texts()]
        texts = tuple(sorted(set(clean)))
        rank = {text: at for at, text in enumerate(texts)}
        of_judgement = np.empty(len(index.task_index), dtype=np.int64)
        of_judgement[index.row_judgement] = np.array([rank[text] for text in clean], dtype=np.int64)[written.codes]
        people = index.tasks, index.annotators
        return cls(*people, tuple(categories), index.task_index, index.annotator_index, of_judgement, texts)

    def characters(self) -> Sequences:
        """Every text as its Unicode code points."""
        codes = np.frombuffer("".join(self.texts).encode("utf-32-le"), dtype=np.int32)
        return Sequences(codes, _offsets([len(text) for text in self.texts]))

    def words(self) -> Sequences:
        """Every text as its words: what white space separates."""
        vocabulary: dict[str, int] = {}
        split = [text.split() for text in self.texts]
        codes = [vocabulary.setdefault(word, len(vocabulary)) for words in split for word in words]
        return Sequences(np.array(codes, dtype=np.int32), _offsets([len(words) for words in split]))


def _offsets(lengths: list[int]) -> IntArray:
    return np.concatenate([[0], np.cumsum(np.array(lengths, dtype=np.int64))]).astype(np.int64)


def _check_texts(written: Coded) -> None:
    missing = np.flatnonzero(written.codes == INVALID)
    if len(missing):
        at = int(missing[0])
        raise InvalidInput(
            f"row {at + 1}: found value {written.found(at)!r}, expected a text; an empty one says that there is nothing to "
            "write down."
        )
    lengths = np.array([len(text) for text in written.texts()], dtype=np.int64)
    long = np.flatnonzero(lengths[written.codes] > MAX_CHARACTERS) if len(lengths) else np.empty(0, dtype=np.int64)
    if len(long):
        at = int(long[0])
        raise InvalidInput(
            f"row {at + 1}: found a text of {lengths[written.codes[at]]:,} characters, expected at most "
            f"{MAX_CHARACTERS:,}. Cut the task into smaller ones."
        )


def _check_single(index: AnswerIndex) -> None:
    if len(index.row_judgement) == len(index.task_index):
        return
    order = np.argsort(index.row_judgement, kind="stable")
    again = np.flatnonzero(np.diff(index.row_judgement[order]) == 0)
    at = int(again[np.argmin(order[again + 1])])
    raise InvalidInput(
        f"row {order[at + 1] + 1}: found a second judgement of {index.who(int(order[at]))} "
        f"(the first is row {order[at] + 1}), expected one. Keep only the latest revision."
    )

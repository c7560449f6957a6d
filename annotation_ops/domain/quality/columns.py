"""Columns of text as integer codes: what turns a file of judgements into index arrays without a loop over its rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from annotation_ops.domain.errors import InvalidInput

TextColumn: TypeAlias = Sequence[str] | npt.NDArray[np.object_] | npt.NDArray[np.str_] | pa.Array | pa.ChunkedArray
"""Texts by row: a sequence, a NumPy array (object or str), or an Arrow array (string or dictionary, chunked or not)."""

INVALID = -1
"""Code of what is not a text."""


@dataclass(frozen=True, slots=True)
class Coded:
    """Row r holds `values[codes[r]]`; a row that holds no text has code INVALID."""

    codes: npt.NDArray[np.int64] = field(repr=False)
    """(n_rows,)"""
    values: pa.StringArray = field(repr=False)
    """Distinct; each occurs."""
    source: TextColumn = field(repr=False)

    def found(self, row: int) -> object:
        """What row `row` (from 0) really holds, for messages."""
        value: object = self.source[row]
        if isinstance(value, pa.Scalar):
            return value.as_py()
        return value.item() if isinstance(value, np.generic) else value

    def texts(self) -> tuple[str, ...]:
        return tuple(self.values.to_pylist())

    def sorted(self) -> "Coded":
        """The same rows with `values` in order of code point."""
        if len(self.values) < 2 or pc.all(pc.less(self.values[:-1], self.values[1:])).as_py():
            return self
        order = pc.sort_indices(self.values)
        place = np.empty(len(order) + 1, dtype=np.int64)
        place[order.to_numpy()] = np.arange(len(order))
        place[INVALID] = INVALID
        return Coded(place[self.codes], self.values.take(order), self.source)


def coded(column: TextColumn) -> Coded:
    """The column with one code for each distinct text, in order of first occurrence or of its dictionary."""
    array = _arrow(column)
    if array is None:
        return _coded_by_row(column)
    if pa.types.is_dictionary(array.type):
        return _recoded(_whole(array), column)
    encoded = _whole(array.dictionary_encode())
    return Coded(_codes(encoded), encoded.dictionary, column)


def _arrow(column: TextColumn) -> pa.Array | pa.ChunkedArray | None:
    """The column as Arrow text, dictionary-encoded or not; None when it holds anything but texts and nulls."""
    if isinstance(column, pa.Array | pa.ChunkedArray):
        array = column
    else:
        try:
            array = pa.array(column)
        except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
            return None
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    return array if pa.types.is_string(kind) or pa.types.is_large_string(kind) else None


def _whole(array: pa.DictionaryArray | pa.ChunkedArray) -> pa.DictionaryArray:
    if not isinstance(array, pa.ChunkedArray):
        return array
    return array.unify_dictionaries().combine_chunks() if array.num_chunks else pa.array([], array.type)


def _recoded(array: pa.DictionaryArray, column: TextColumn) -> Coded:
    """From somebody else's dictionary, which may repeat a text, hold nulls, or name texts that no row has."""
    texts = array.dictionary.dictionary_encode()
    codes = np.append(_codes(texts), INVALID)[_codes(array)]
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(texts.dictionary)))
    place = np.full(len(texts.dictionary) + 1, INVALID, dtype=np.int64)
    place[used] = np.arange(len(used))
    return Coded(place[codes], texts.dictionary.take(pa.array(used)), column)


def _codes(array: pa.DictionaryArray) -> npt.NDArray[np.int64]:
    codes: npt.NDArray[np.int64] = array.indices.fill_null(INVALID).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _coded_by_row(column: TextColumn) -> Coded:
    """Slow, and only for columns that Arrow does not take as text: empty ones, and those with a row to refuse."""
    place: dict[str, int] = {}
    rows: Iterable[object] = column.to_pylist() if isinstance(column, pa.Array | pa.ChunkedArray) else column
    codes = [place.setdefault(value, len(place)) if _is_text(value) else INVALID for value in rows]
    return Coded(np.array(codes, dtype=np.int64), pa.array(list(place), pa.string()), column)


def _is_text(value: object) -> TypeGuard[str]:
    # A lone surrogate cannot be written to any file of ours.
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def check_lengths(columns: dict[str, TextColumn]) -> None:
    """Raises InvalidInput unless all columns have the same number of rows."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} with {length}" for name, length in lengths.items())
        raise InvalidInput(f"columns: found {told} rows, expected the same number. Read them from one table.")

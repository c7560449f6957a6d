"""Arrow columns as NumPy arrays: numbers, lists of numbers, and embeddings of a few samples."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.selection.candidates import ID, decoded
from annotation_ops.domain.selection.exclusion import ExclusionIndex, as_binary
from annotation_ops.domain.selection.stable_hash import hash_ids

Scan = Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
"""Reads the named columns of the pool; may be called twice (the second time for the candidates' embeddings)."""


def floats(column: pa.Array) -> NDArray[np.float64]:
    """A numeric column as floats, zero-copy when it is floating without nulls; nulls are NaN."""
    column = decoded(column)
    values: NDArray[np.float64] = column.to_numpy(zero_copy_only=False)
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def list_matrix(ids: pa.Array, lists: pa.Array, *, width: int | None, column: str) -> NDArray[np.float64] | None:
    """A list column as a matrix (n, width), NaN rows for nulls; None when all are null.

    Raises InvalidInput, naming the sample, when a list is not `width` long (None: as long as the first).
    """
    if pa.types.is_fixed_size_list(lists.type):
        lists = lists.cast(pa.list_(lists.type.value_type))
    present = lists.is_valid().to_numpy(zero_copy_only=False)
    if not present.any():
        return None
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    expected = width or int(lengths[present][0])
    wrong = np.flatnonzero(present & (lengths != expected))
    if len(wrong):
        sample = ids[int(wrong[0])].as_py()
        raise InvalidInput(
            f"sample {sample!r}: found {lengths[wrong[0]]} values in {column}, expected {expected} as in the other rows."
        )
    matrix = np.full((len(lists), expected), np.nan)
    matrix[present] = floats(lists.flatten()).reshape(-1, expected)
    return matrix


def gather_embeddings(scan: Scan, column: str, samples: pa.Table) -> tuple[NDArray[np.float64] | None, str]:
    """Embeddings of the samples, shape (n, d), in their order; or None and what is wrong with them.

    `samples` has the column sample_id (binary). Only these rows are kept while the pool is read a second time.
    """
    ids = samples.column(ID).combine_chunks()
    place = {sample: index for index, sample in enumerate(ids.to_pylist())}
    index = ExclusionIndex(ids)
    matrix: NDArray[np.float64] | None = None
    found = np.zeros(len(ids), dtype=np.bool_)
    for batch in scan((ID, column)):
        mine = index.matches(batch.column(ID), hashes=hash_ids(batch.column(ID)))
        rows = pa.array(np.flatnonzero(mine))
        if not len(rows):
            continue
        own_ids = batch.column(ID).take(rows)
        width = None if matrix is None else matrix.shape[1]
        values = list_matrix(own_ids, batch.column(column).take(rows), width=width, column=column)
        if values is None:
            continue
        if matrix is None:
            matrix = np.full((len(ids), values.shape[1]), np.nan)
        at = [place[sample] for sample in as_binary(own_ids).to_pylist()]
        matrix[at] = values
        found[at] = np.isfinite(values).all(axis=1)
    missing = len(ids) - int(np.count_nonzero(found))
    if missing or matrix is None:
        return None, f"{missing} of {len(ids)} candidates have no usable embedding"
    return matrix, ""

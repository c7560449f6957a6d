"""A day's prediction log: Parquet written by somebody else, read as it is once it proved harmless and well-formed."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotation_ops.domain.errors import InvalidInput, UnsafeInput
from annotation_ops.domain.selection.columns import floats
from annotation_ops.ports.object_store import ObjectStore
from annotation_ops.services.prediction_files import LIST, PREFIX, RowFile, open_rows

MAX_LOG_BYTES = 512 << 20
"""About 5 million rows of ten classes."""

_VERSION = "model_version"
_EMBEDDING = "embedding"
_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        (_VERSION, pa.string()),
        ("probabilities", pa.list_(pa.float64())),
        (_EMBEDDING, pa.list_(pa.float32())),
    ]
)


def read_log(logs: ObjectStore, key: str, *, labels: Sequence[str]) -> pa.Table:
    """Columns sample_id, model_version, probabilities (in the order of `labels`), embedding; one row a sample.

    The log has `sample_id`, then `p_<label>` for every label or `probs` in the order of the labels; optionally
    `model_version` and `embedding`. Raises NotFound, InvalidInput (other columns or classes, a sample twice), UnsafeInput;
    messages name the log by its address.
    """
    body = logs.read(key, max_bytes=MAX_LOG_BYTES)
    with tempfile.TemporaryDirectory(prefix="annotation-ops-log-") as folder:
        path = Path(folder) / Path(key).name
        path.write_bytes(body)
        del body
        try:
            return _read(path, labels)
        except (InvalidInput, UnsafeInput) as error:
            raise type(error)(str(error).replace(str(path), logs.uri(key))) from error


def _read(path: Path, labels: Sequence[str]) -> pa.Table:
    file = open_rows(path, text=[_VERSION])
    wide = _check_classes(file, labels)
    optional = [name for name in (_VERSION, _EMBEDDING) if name in file.names]
    scores = [PREFIX + label for label in labels] if wide else [LIST]
    batches = [
        _normalised(batch, path, scores=scores, wide=wide, n_labels=len(labels))
        for batch in file.scan(["sample_id", *scores, *optional])
    ]
    table = pa.Table.from_batches(batches, _SCHEMA)
    ids = table.column("sample_id")
    if ids.null_count:
        raise InvalidInput(f"{path}: found {ids.null_count} rows without sample_id, expected one in every row.")
    if len(ids.unique()) < len(ids):
        counts = pc.value_counts(ids)
        twice = next(entry["values"].as_py() for entry in counts if entry["counts"].as_py() > 1)
        raise InvalidInput(f"{path}: found sample {twice} more than once, expected one row a sample.")
    return table


def _check_classes(file: RowFile, labels: Sequence[str]) -> bool:
    """Whether the layout is wide. Raises InvalidInput when its classes are not exactly the labels."""
    found = [name.removeprefix(PREFIX) for name in file.names if name.startswith(PREFIX)]
    if not found and LIST in file.names:
        return False
    if set(found) != set(labels):
        raise InvalidInput(
            f"{file.path}: found probabilities for {', '.join(sorted(found)) or 'no class'}, "
            f"expected one column {PREFIX}<label> for each of {', '.join(labels)}."
        )
    return True


def _normalised(
    batch: pa.RecordBatch, path: Path, *, scores: Sequence[str], wide: bool, n_labels: int
) -> pa.RecordBatch:
    n = batch.num_rows
    if wide:
        matrix = np.stack([floats(batch.column(name)) for name in scores], axis=1)
        offsets = pa.array(np.arange(n + 1, dtype=np.int32) * n_labels, pa.int32())
        probabilities = pa.ListArray.from_arrays(offsets, pa.array(matrix.reshape(-1), pa.float64()))
    else:
        probabilities = batch.column(LIST).cast(pa.list_(pa.float64()))
        lengths = pc.unique(probabilities.value_lengths().drop_null()).to_pylist()
        if lengths not in ([], [n_labels]):
            raise InvalidInput(f"{path}: found lists of {lengths} values in {LIST}, expected {n_labels}, one a label.")
    nothing = {_VERSION: pa.nulls(n, pa.string()), _EMBEDDING: pa.nulls(n, pa.list_(pa.float32()))}
    given = {name: batch.column(name) for name in nothing if name in batch.schema.names}
    columns = {**nothing, **given}
    arrays = [batch.column("sample_id"), columns[_VERSION], probabilities, columns[_EMBEDDING]]
    return pa.record_batch(
        [array.cast(field.type) for array, field in zip(arrays, _SCHEMA, strict=True)], schema=_SCHEMA
    )

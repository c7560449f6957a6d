"""The raw manifest as of a day: which samples exist, each in its newest version."""

import json
from collections.abc import Collection
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotation_ops.domain.tables import RAW_SAMPLES
from annotation_ops.ports.lake import Lake

_COLUMNS = ("sample_id", "digest", "day", "captured_at", "uri", "object_key", "slices")


def newest_samples(project: str, *, until: date, lake: Lake) -> pa.Table:
    """One row a sample ingested on `until` or earlier, its newest version, by sample_id (bytewise).

    Newest is the latest day, then the latest capture time (none is oldest), then the greatest digest, so that the
    answer never depends on the order of the rows. Holds the whole manifest: about 300 bytes a row.
    """
    partition = {"project": project}
    kept = [
        batch.filter(pc.less_equal(batch.column("day"), until.isoformat()))
        for batch in lake.scan(RAW_SAMPLES, partition=partition, columns=_COLUMNS)
    ]
    schema = pa.schema([RAW_SAMPLES.schema.field(name) for name in _COLUMNS])
    table = pa.Table.from_batches(kept, schema).combine_chunks()
    order = [(name, "ascending") for name in ("sample_id", "day", "captured_at", "digest")]
    table = table.take(pc.sort_indices(table, sort_keys=order, null_placement="at_start")).combine_chunks()
    if table.num_rows < 2:
        return table
    ids = table.column("sample_id").combine_chunks()
    last = pc.not_equal(ids.slice(0, len(ids) - 1), ids.slice(1)).to_numpy(zero_copy_only=False)
    return table.filter(pa.array(np.append(last, True))).combine_chunks()


def without_versions(samples: pa.Table, versions: Collection[tuple[str, str]]) -> pa.Table:
    """The rows whose (sample_id, digest) is not among `versions`."""
    if not versions:
        return samples
    pairs = zip(samples.column("sample_id").to_pylist(), samples.column("digest").to_pylist(), strict=True)
    return samples.filter(pa.array([pair not in versions for pair in pairs], pa.bool_()))


def slice_values(slices: pa.ChunkedArray, *, name: str) -> pa.Array:
    """The value of one slice from JSON objects; null where a sample has none. Each distinct object is parsed once."""
    encoded = pa.chunked_array(slices).combine_chunks().dictionary_encode()
    values = [json.loads(text or "{}").get(name) for text in encoded.dictionary.to_pylist()]
    return pa.array(values, pa.string()).take(encoded.indices)

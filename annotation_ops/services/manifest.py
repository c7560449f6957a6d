"""The raw manifest as of a day: which samples exist, each in its newest version."""

import json
from collections.abc import Collection
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotation_ops.domain.tables import RAW_SAMPLES, TIME
from annotation_ops.ports.lake import Lake

_COLUMNS = ("sample_id", "digest", "day", "modified_at", "captured_at", "uri", "object_key", "slices")
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


def newest_samples(project: str, *, until: date, lake: Lake) -> pa.Table:
    """One row a sample ingested on `until` or earlier, its newest version, by sample_id (bytewise).

    Newest is the latest day, then the latest change of the object, capture time and digest (none is oldest), so that the
    answer never depends on the order of the rows. Holds the whole manifest: about 300 bytes a row.
    """
    partition = {"project": project}
    kept = [
        batch.filter(pc.less_equal(batch.column("day"), until.isoformat()))
        for batch in lake.scan(RAW_SAMPLES, partition=partition, columns=_COLUMNS)
    ]
    schema = pa.schema([RAW_SAMPLES.schema.field(name) for name in _COLUMNS])
    table = pa.Table.from_batches(kept, schema).combine_chunks()
    dated = table.column("captured_at").fill_null(pa.scalar(_LONG_AGO, TIME))
    keyed = table.set_column(table.schema.get_field_index("captured_at"), "captured_at", dated)
    order = [(name, "ascending") for name in ("sample_id", "day", "modified_at", "captured_at", "digest")]
    table = table.take(pc.sort_indices(keyed, sort_keys=order)).combine_chunks()
    if table.num_rows < 2:
        return table
    ids = table.column("sample_id").combine_chunks()
    last = pc.not_equal(ids.slice(0, len(ids) - 1), ids.slice(1)).to_numpy(zero_copy_only=False)
    return table.filter(pa.array(np.append(last, True))).combine_chunks()


def object_keys(project: str, versions: Collection[tuple[str, str]], *, lake: Lake) -> dict[tuple[str, str], str]:
    """(sample_id, digest) -> the key in the raw store, of those that are in the manifest."""
    wanted = frozenset(versions)
    found: dict[tuple[str, str], str] = {}
    for batch in lake.scan(RAW_SAMPLES, partition={"project": project}, columns=["sample_id", "digest", "object_key"]):
        for row in batch.to_pylist():
            if (version := (row["sample_id"], row["digest"])) in wanted:
                found[version] = row["object_key"]
    return found


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

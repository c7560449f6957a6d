"""The best few rows of a stream, by group, at constant memory and independent of row order."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from annotation_ops.domain.selection.exclusion import as_binary

ID = "sample_id"
KEY = "key"
GROUP = "group"
UNCERTAINTY = "uncertainty"


def decoded(values: pa.Array) -> pa.Array:
    """A dictionary-encoded array as plain values; others as they are."""
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


class Candidates:
    """Keeps, for every group, the `depth` rows with the smallest (key, sample_id); ids compare bytewise.

    Memory is at most 2 x groups x depth rows plus one incoming batch. NaN keys never enter.
    """

    def __init__(self, *, depth: int, carry: Sequence[str] = ()) -> None:
        self._depth = depth
        self._carry = tuple(carry)
        self._pieces: list[pa.Table] = []
        self._pending = 0
        self._limit_keys: NDArray[np.float64] | NDArray[np.uint64] | None = None
        self._limit_ids: dict[int, bytes] = {}
        self._seen_groups = 0

    def add(
        self,
        batch: pa.RecordBatch,
        *,
        keys: NDArray[np.float64] | NDArray[np.uint64],
        eligible: NDArray[np.bool_] | None = None,
        groups: NDArray[np.int64] | None = None,
        n_groups: int = 1,
    ) -> None:
        """Offers the rows of a batch (columns `sample_id` and those carried); `groups` are codes below `n_groups`."""
        if self._depth == 0:
            return
        limits = self._limits(keys.dtype, n_groups)
        inside = keys <= (limits[0] if groups is None else limits[groups])
        if eligible is not None:
            inside &= eligible
        rows = np.flatnonzero(inside)
        if len(rows):
            rows = self._drop_late_ties(batch, keys, groups, rows)
        if not len(rows):
            return
        taken = pa.array(rows)
        columns = {ID: as_binary(batch.column(ID).take(taken))}
        columns |= {name: decoded(batch.column(name).take(taken)) for name in self._carry}
        columns[KEY] = pa.array(keys[rows])
        columns[GROUP] = pa.array(np.zeros(len(rows), dtype=np.int64) if groups is None else groups[rows])
        self._pieces.append(pa.table(columns))
        self._pending += len(rows)
        if self._pending > 2 * self._depth * self._seen_groups + len(batch):
            self._compact()

    def sorted(self) -> pa.Table | None:
        """All kept rows by (group, key, sample_id), with columns sample_id (binary), carried ones, key, group.

        None when no row was ever kept.
        """
        if not self._pieces:
            return None
        self._compact()
        kept = self._pieces[0]
        order = [(GROUP, "ascending"), (KEY, "ascending"), (ID, "ascending")]
        return kept.take(pc.sort_indices(kept, sort_keys=order)).combine_chunks()

    def _limits(self, dtype: np.dtype[np.generic], n_groups: int) -> NDArray[np.float64] | NDArray[np.uint64]:
        """Largest admissible key a group: unlimited until the group was full at a compaction."""
        unlimited = np.inf if dtype.kind == "f" else np.iinfo(np.uint64).max
        if self._limit_keys is None:
            self._limit_keys = np.full(n_groups, unlimited, dtype=dtype)
        elif len(self._limit_keys) < n_groups:
            grown = np.full(n_groups, unlimited, dtype=dtype)
            grown[: len(self._limit_keys)] = self._limit_keys
            self._limit_keys = grown
        self._seen_groups = len(self._limit_keys)
        return self._limit_keys

    def _drop_late_ties(
        self,
        batch: pa.RecordBatch,
        keys: NDArray[np.float64] | NDArray[np.uint64],
        groups: NDArray[np.int64] | None,
        rows: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Rows whose key equals the limit stay only with an id before the last one kept; else a pool of equals is re-sorted
        with every batch."""
        assert self._limit_keys is not None
        keep = np.ones(len(rows), dtype=np.bool_)
        row_groups = np.zeros(len(rows), dtype=np.int64) if groups is None else groups[rows]
        tied = keys[rows] == self._limit_keys[row_groups]
        if not tied.any():
            return rows
        for group, last in self._limit_ids.items():
            at = np.flatnonzero(tied & (row_groups == group))
            if len(at):
                ids = as_binary(batch.column(ID).take(pa.array(rows[at])))
                keep[at] = pc.less(ids, pa.scalar(last, pa.binary())).to_numpy(zero_copy_only=False)
        return rows[keep]

    def _compact(self) -> None:
        merged = pa.concat_tables(self._pieces).combine_chunks()
        keys = merged.column(KEY).to_numpy()
        groups = merged.column(GROUP).to_numpy()
        ids = merged.column(ID)
        by_group = np.argsort(groups, kind="stable")
        edges = np.searchsorted(groups[by_group], np.arange(self._seen_groups + 1))
        kept = [
            self._best(group, by_group[edges[group] : edges[group + 1]], keys, ids)
            for group in range(self._seen_groups)
            if edges[group + 1] > edges[group]
        ]
        self._pieces = [merged.take(pa.array(np.concatenate(kept))).combine_chunks()]
        self._pending = self._pieces[0].num_rows

    def _best(
        self, group: int, rows: NDArray[np.int64], keys: NDArray[np.generic], ids: pa.ChunkedArray
    ) -> NDArray[np.int64]:
        if len(rows) < self._depth:
            return rows
        assert self._limit_keys is not None
        limit = np.partition(keys[rows], self._depth - 1)[self._depth - 1]
        below = rows[keys[rows] < limit]
        tied = rows[keys[rows] == limit]
        order = pc.sort_indices(ids.take(pa.array(tied))).to_numpy()
        tied = tied[order[: self._depth - len(below)]]
        self._limit_keys[group] = limit
        self._limit_ids[group] = ids[int(tied[-1])].as_py()
        return np.concatenate([below, tied])

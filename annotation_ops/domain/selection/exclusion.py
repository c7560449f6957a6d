"""The anti-join: which samples of a pool are already in a batch. Exact, at the price of one table look-up a row."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from annotation_ops.domain.selection.stable_hash import hash_ids

_LARGEST_FILTER_BITS = 26
"""64 MiB: sixteen flags an id up to four million ids, fewer beyond."""

_LARGEST_BUCKET_BITS = 24
"""128 MiB of bucket starts; two buckets an id up to eight million ids, so that a search is one look-up and a step or two
where a binary search of a million hashes misses the cache twenty times."""


def as_binary(ids: pa.Array) -> pa.Array:
    """Ids as `binary`, so that string, large string and fixed-size ids compare bytewise with one another."""
    return ids if pa.types.is_binary(ids.type) else ids.cast(pa.binary())


class ExclusionIndex:
    """Ids to leave out, optionally only in one version of the object.

    A flag table indexed by the top bits of the hash turns away nearly every row; the rest are searched by hash, and a
    hit counts only when the bytes are equal, so two ids with one 64-bit hash are told apart.
    """

    def __init__(
        self,
        ids: pa.Array,
        *,
        digests: pa.Array | None = None,
        hasher: Callable[[pa.Array], NDArray[np.uint64]] = hash_ids,
    ) -> None:
        hashes = hasher(ids)
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._ids = as_binary(ids.take(pa.array(order)))
        self._digests = None if digests is None else digests.take(pa.array(order))
        bits = min(_LARGEST_FILTER_BITS, max(10, (16 * len(ids)).bit_length()))
        self._shift = np.uint64(64 - bits)
        self._flags = np.zeros(1 << bits, dtype=np.bool_)
        self._flags[hashes >> self._shift] = True
        buckets = min(_LARGEST_BUCKET_BITS, max(1, (2 * len(ids)).bit_length()))
        self._bucket_shift = np.uint64(64 - buckets)
        firsts = np.arange(1 << buckets, dtype=np.uint64) << self._bucket_shift
        self._starts = np.searchsorted(self._hashes, firsts)

    def __len__(self) -> int:
        return len(self._hashes)

    def matches(
        self, ids: pa.Array, *, hashes: NDArray[np.uint64], digests: pa.Array | None = None
    ) -> NDArray[np.bool_]:
        """Mask of shape (n,): the id (and the digest, when the index holds digests) is excluded."""
        found = np.zeros(len(ids), dtype=np.bool_)
        rows = np.flatnonzero(self._flags[hashes >> self._shift])
        wanted = hashes[rows]
        at = self._starts[wanted >> self._bucket_shift]
        while len(rows):
            inside = at < len(self._hashes)
            inside[inside] = self._hashes[at[inside]] <= wanted[inside]
            rows, at, wanted = rows[inside], at[inside], wanted[inside]
            same = np.flatnonzero(self._hashes[at] == wanted)
            equal = np.zeros(len(rows), dtype=np.bool_)
            equal[same] = self._equal(ids, digests, rows[same], at[same])
            found[rows[equal]] = True
            rows, at, wanted = rows[~equal], at[~equal] + 1, wanted[~equal]
        return found

    def _equal(
        self, ids: pa.Array, digests: pa.Array | None, rows: NDArray[np.int64], at: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        mine, theirs = pa.array(at), pa.array(rows)
        equal = pc.equal(as_binary(ids.take(theirs)), self._ids.take(mine))
        if self._digests is not None and digests is not None:
            equal = pc.and_(equal, pc.equal(digests.take(theirs), self._digests.take(mine)))
        mask: NDArray[np.bool_] = equal.fill_null(False).to_numpy(zero_copy_only=False)
        return mask

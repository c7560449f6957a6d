"""A 64-bit hash of sample ids that is the same on every machine, in every process and for every row order.

SplitMix64 (Steele, Lea, Flood 2014) folded over the id's bytes in little-endian words of eight. It decides who is in
the random control, so it must never change; it is not meant to resist an adversary who knows the seed.
"""

import hashlib

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from annotation_ops.domain.errors import InvalidInput

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def splitmix64(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output of SplitMix64 for each state; a bijection of 64-bit words. Returns a new array."""
    mixed = state + GOLDEN
    spare = mixed >> np.uint64(30)
    mixed ^= spare
    mixed *= _FIRST
    np.right_shift(mixed, np.uint64(27), out=spare)
    mixed ^= spare
    mixed *= _SECOND
    np.right_shift(mixed, np.uint64(31), out=spare)
    mixed ^= spare
    return mixed


def seed_word(*parts: str) -> int:
    """A 64-bit seed from any words (project, day, purpose): SHA-256 over the length-prefixed parts."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode()
        digest.update(f"{len(raw)}:".encode() + raw)
    return int.from_bytes(digest.digest()[:8], "little")


def seeded(hashes: NDArray[np.uint64], *, seed: int) -> NDArray[np.uint64]:
    """One uniform 64-bit number a sample for this seed, from its unseeded hash."""
    key = splitmix64(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64))
    return splitmix64(hashes ^ key)


def hash_ids(ids: pa.Array) -> NDArray[np.uint64]:
    """Hashes of an Arrow array of string or binary ids without nulls, shape (n,). Raises InvalidInput for other types."""
    if len(ids) == 0:
        return np.empty(0, dtype=np.uint64)
    if pa.types.is_fixed_size_binary(ids.type):
        width = ids.type.byte_width
        data = np.frombuffer(ids.buffers()[1], dtype=np.uint8)
        return _fold(data[ids.offset * width : (ids.offset + len(ids)) * width].reshape(len(ids), width))
    offsets = _offsets(ids)
    lengths = np.diff(offsets)
    data = np.frombuffer(ids.buffers()[2] or b"", dtype=np.uint8)
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest == longest:
        return _fold(data[offsets[0] : offsets[-1]].reshape(len(ids), longest))
    hashes = np.empty(len(ids), dtype=np.uint64)
    for length in np.flatnonzero(np.bincount(lengths)) if longest <= 4096 else np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        if length == 0:
            hashes[rows] = _fold(np.empty((len(rows), 0), dtype=np.uint8))
        else:
            hashes[rows] = _fold(sliding_window_view(data, int(length))[offsets[rows]])
    return hashes


def _offsets(ids: pa.Array) -> NDArray[np.int64]:
    if pa.types.is_string(ids.type) or pa.types.is_binary(ids.type):
        width: type[np.int32] | type[np.int64] = np.int32
    elif pa.types.is_large_string(ids.type) or pa.types.is_large_binary(ids.type):
        width = np.int64
    else:
        raise InvalidInput(f"sample_id has type {ids.type}, expected a string or binary column.")
    offsets = np.frombuffer(ids.buffers()[1], dtype=width)
    return offsets[ids.offset : ids.offset + len(ids) + 1].astype(np.int64)


def _fold(characters: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Hashes the rows of a byte matrix of shape (n, length)."""
    n, length = characters.shape
    words = -(-length // 8)
    padded = np.zeros((n, words * 8), dtype=np.uint8)
    padded[:, :length] = characters
    columns = padded.view("<u8").reshape(n, words)
    state = splitmix64(np.full(n, length, dtype=np.uint64))
    for index in range(words):
        state = splitmix64(state ^ columns[:, index])
    return state

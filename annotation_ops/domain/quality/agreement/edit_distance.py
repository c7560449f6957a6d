"""Levenshtein distances of many pairs of sequences, by bit-parallel dynamic programming at linear memory.

Myers, A fast bit-vector algorithm for approximate string matching, JACM 46:395-415 (1999), in the global form of Hyyro,
Explaining and extending the bit-parallel approximate string matching algorithm of Myers (2001). Pairs whose shorter side
has at most 64 elements run side by side in NumPy words; the others one by one in integers of any length.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotation_ops.domain.quality.judgements import IntArray

WORD = 64
BATCH = 4096
"""Pairs side by side: the comparison matrix of 4096 x 64 codes stays in the second-level cache."""

Codes = npt.NDArray[np.int32]
_ONE = np.uint64(1)


@dataclass(frozen=True, slots=True)
class Sequences:
    """Sequences of codes (characters or words), one behind the other."""

    codes: Codes
    offsets: IntArray
    """(n_sequences + 1,)"""

    @property
    def lengths(self) -> IntArray:
        return np.diff(self.offsets)

    def __getitem__(self, at: int) -> Codes:
        return self.codes[self.offsets[at] : self.offsets[at + 1]]


def edit_distances(sequences: Sequences, first: IntArray, second: IntArray) -> IntArray:
    """Fewest insertions, deletions and substitutions between each two sequences, (n_pairs,)."""
    lengths = sequences.lengths
    swap = lengths[first] > lengths[second]
    short, long = np.where(swap, second, first), np.where(swap, first, second)
    distance = np.where(short == long, 0, lengths[long])
    open_ = (short != long) & (lengths[short] > 0)
    fits = np.flatnonzero(open_ & (lengths[short] <= WORD))
    # Pairs of similar length side by side: a batch takes as many steps as its longest text.
    fits = fits[np.argsort(lengths[long[fits]], kind="stable")[::-1]]
    for begin in range(0, len(fits), BATCH):
        mine = fits[begin : begin + BATCH]
        distance[mine] = _side_by_side(sequences, short[mine], long[mine])
    for at in np.flatnonzero(open_ & (lengths[short] > WORD)).tolist():
        distance[at] = _long_distance(sequences[int(short[at])], sequences[int(long[at])])
    return distance.astype(np.int64)


def _side_by_side(sequences: Sequences, patterns: IntArray, texts: IntArray) -> IntArray:
    """Distances for patterns of 1 to 64 codes; the texts sorted by falling length."""
    lengths = sequences.lengths
    pattern = _matrix(sequences, patterns, width=-(-int(lengths[patterns].max()) // 8) * 8)
    text = _matrix(sequences, texts, width=int(lengths[texts].max()))
    last = _ONE << (lengths[patterns] - 1).astype(np.uint64)
    score = lengths[patterns].astype(np.int64)
    plus = np.full(len(patterns), ~np.uint64(0))
    minus = np.zeros(len(patterns), dtype=np.uint64)
    running = np.searchsorted(-lengths[texts], -np.arange(text.shape[1]), side="left")
    for step, n in enumerate(running.tolist()):
        equal = _bits(pattern[:n] == text[:n, step, None])
        vertical = equal | minus[:n]
        horizontal = (((equal & plus[:n]) + plus[:n]) ^ plus[:n]) | equal
        up = minus[:n] | ~(horizontal | plus[:n])
        down = plus[:n] & horizontal
        score[:n] += ((up & last[:n]) > 0).astype(np.int64) - ((down & last[:n]) > 0)
        up = (up << _ONE) | _ONE
        plus[:n] = (down << _ONE) | ~(vertical | up)
        minus[:n] = up & vertical
    return score


def _matrix(sequences: Sequences, which: IntArray, *, width: int) -> Codes:
    """The sequences as rows, filled up with -1, which is no code."""
    lengths = sequences.lengths[which]
    matrix = np.full((len(which), width), -1, dtype=np.int32)
    inside = np.arange(width) < lengths[:, None]
    position = sequences.offsets[which][:, None] + np.arange(width)
    matrix[inside] = sequences.codes[position[inside]]
    return matrix


def _bits(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Rows of at most 64 flags as words, the first flag lowest."""
    packed = np.zeros((len(flags), 8), dtype=np.uint8)
    bits = np.packbits(flags, axis=1, bitorder="little")
    packed[:, : bits.shape[1]] = bits
    return packed.view("<u8")[:, 0].astype(np.uint64)


def _long_distance(short: Codes, long: Codes) -> int:
    """The distance of two sequences without their common beginning and end."""
    same = short == long[: len(short)]
    head = int(np.argmin(same)) if not same.all() else len(short)
    short, long = short[head:], long[head:]
    same = short[::-1] == long[::-1][: len(short)]
    tail = int(np.argmin(same)) if not same.all() else len(short)
    short, long = short[: len(short) - tail], long[: len(long) - tail]
    return len(long) if not len(short) else _myers(long, short)


def _myers(pattern: Codes, text: Codes) -> int:
    """Myers on integers as long as the pattern; the text, which takes a step each, is the shorter of the two."""
    places: dict[int, int] = {}
    for code in set(text.tolist()):
        places[code] = int.from_bytes(np.packbits(pattern == code, bitorder="little").tobytes(), "little")
    size = len(pattern)
    full, last = (1 << size) - 1, 1 << (size - 1)
    plus, minus, score = full, 0, size
    for code in text.tolist():
        equal = places[code]
        vertical = equal | minus
        horizontal = (((equal & plus) + plus) ^ plus) | equal
        up = minus | (full & ~(horizontal | plus))
        down = plus & horizontal
        if up & last:
            score += 1
        elif down & last:
            score -= 1
        up = ((up << 1) | 1) & full
        plus = ((down << 1) & full) | (full & ~(vertical | up))
        minus = up & vertical
    return score

"""A cheap, fixed embedding of texts: hashed words, enough to tell topics apart and the same on every machine."""

import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 64
_WORD = re.compile(r"\w+")


def embed_texts(texts: Sequence[str]) -> NDArray[np.float32]:
    """Signed word counts hashed (CRC-32) to 64 dimensions, of length 1; shape (n, 64). A text without words is all zero.

    The hashing trick of Weinberger et al. 2009: the sign makes collisions cancel on average.
    """
    embedded = np.zeros((len(texts), DIMENSIONS))
    for row, text in enumerate(texts):
        for word in _WORD.findall(text.casefold()):
            hashed = zlib.crc32(word.encode())
            embedded[row, hashed % DIMENSIONS] += 1.0 if hashed & 0x80000000 else -1.0
    lengths = np.linalg.norm(embedded, axis=1, keepdims=True)
    return (embedded / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)

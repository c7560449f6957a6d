"""Chance as a function: the same words give the same number, in every process and on every machine."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

_STEPS = 2**53


def uniform(seed: int, *parts: str) -> float:
    """A number strictly between 0 and 1, from SHA-256 over the length-prefixed parts."""
    text = "".join(f"{len(part)}:{part}" for part in (str(seed), *parts))
    word = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return ((word >> 11) + 0.5) / _STEPS


def lognormal(u: float, *, median: float, sigma: float) -> float:
    """The quantile `u` (0 < u < 1) of the lognormal distribution."""
    return median * math.exp(sigma * NormalDist().inv_cdf(u))


def pick(u: float, options: Sequence[str]) -> str:
    """One of the options, each as likely."""
    return options[min(int(u * len(options)), len(options) - 1)]


def pick_weighted(u: float, weights: Mapping[str, float]) -> str:
    """One key with probability proportional to its weight; the last one takes what rounding leaves."""
    left = u * sum(weights.values())
    for option, weight in weights.items():
        left -= weight
        if left < 0:
            return option
    return list(weights)[-1]

"""How unsure a model is about a sample, from its class probabilities.

All three measures run from 0 (sure) to 1 (as unsure as possible for `margin` and `entropy`; 1 - 1/classes for
`least_confidence`). Margin is the default's measure: on eight real data sets entropy and least confidence were worse
than random selection on at least one, margin on none.

A row that is no probability distribution (NaN, infinite, negative, sum further than 1e-3 from 1) has no score: NaN is
returned in its place, and callers count it as unscorable. It is never ranked by a made-up number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from annotation_ops.domain.errors import InvalidInput

Measure = Literal["margin", "entropy", "least_confidence"]

SUM_TOLERANCE = 1e-3
"""Float32 softmax outputs and CSV files rounded to four digits stay inside; unnormalised scores do not."""

_BLOCK = 16_384
"""Rows scored at once: the six working arrays of 128 kB stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Uncertainty and predicted class of n rows."""

    uncertainty: NDArray[np.float64]
    """Shape (n,); NaN where the row is unscorable."""
    predicted: NDArray[np.int64]
    """Shape (n,); index of the most probable class, the first of equals; meaningless where unscorable.
    Empty when it was not asked for."""


def score_columns(columns: Sequence[NDArray[np.floating]], *, measure: Measure, with_class: bool = False) -> Scores:
    """Scores n rows given as one array of shape (n,) a class. Raises InvalidInput for fewer than two classes."""
    if len(columns) < 2:
        raise InvalidInput(
            f"found {len(columns)} class probabilities a sample, expected at least 2. Give one column a class."
        )
    n = len(columns[0])
    uncertainty = np.empty(n)
    predicted = np.zeros(n if with_class else 0, dtype=np.int64)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        for start in range(0, n, _BLOCK):
            block = slice(start, start + _BLOCK)
            parts = [np.asarray(column[block], dtype=np.float64) for column in columns]
            uncertainty[block] = _score_block(parts, measure)
            if with_class:
                predicted[block] = _predicted(parts)
    return Scores(uncertainty, predicted)


def score_matrix(probabilities: NDArray[np.floating], *, measure: Measure, with_class: bool = False) -> Scores:
    """Scores a matrix of shape (n, classes); the same numbers as `score_columns` bit for bit."""
    columns = [probabilities[:, index] for index in range(probabilities.shape[1])]
    return score_columns(columns, measure=measure, with_class=with_class)


def _score_block(columns: list[NDArray[np.float64]], measure: Measure) -> NDArray[np.float64]:
    total = columns[0] + columns[1]
    lowest = np.minimum(columns[0], columns[1])
    for column in columns[2:]:
        np.add(total, column, out=total)
        np.minimum(lowest, column, out=lowest)
    if measure == "entropy":
        score = _entropy(columns)
    elif measure == "margin":
        score = _margin(columns)
    else:
        score = 1.0 - _highest(columns)
    np.maximum(score, 0.0, out=score)
    np.subtract(total, 1.0, out=total)
    np.abs(total, out=total)
    scorable = total <= SUM_TOLERANCE
    scorable &= lowest >= 0.0
    if not scorable.all():
        score[~scorable] = np.nan
    return score


def _margin(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """1 - (largest - second largest), by a running pair of maxima."""
    first = np.maximum(columns[0], columns[1])
    second = np.minimum(columns[0], columns[1])
    spare = np.empty_like(first)
    for column in columns[2:]:
        np.minimum(first, column, out=spare)
        np.maximum(second, spare, out=second)
        np.maximum(first, column, out=first)
    np.subtract(first, second, out=first)
    return np.subtract(1.0, first, out=first)


def _highest(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    highest = np.maximum(columns[0], columns[1])
    for column in columns[2:]:
        np.maximum(highest, column, out=highest)
    return highest


def _entropy(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Shannon entropy over ln(classes), with 0 ln 0 = 0."""
    total = np.zeros_like(columns[0])
    for column in columns:
        total -= column * np.log(np.maximum(column, np.finfo(np.float64).tiny))
    total /= np.log(len(columns))
    np.minimum(total, 1.0, out=total)
    return total


def _predicted(columns: list[NDArray[np.float64]]) -> NDArray[np.int64]:
    highest = columns[0].copy()
    predicted = np.zeros(len(highest), dtype=np.int64)
    for index, column in enumerate(columns[1:], start=1):
        better = column > highest
        predicted[better] = index
        np.maximum(highest, column, out=highest)
    return predicted

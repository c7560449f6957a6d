"""Spreading a batch over what the model sees: k-means on the uncertain front, the sample nearest to each centre.

On six real data sets this needed .53 of random's labels to 95 % of full accuracy where plain margin needed .67; its
centres, taken before there is any model, gave +10.7 points of accuracy over a random first batch.
"""

import numpy as np
from numpy.typing import NDArray

FRONT = 10
"""Candidates per picked sample that are clustered; 10 to 20 measured flat, 5 worse."""

ROUND = 500
"""Largest k of one clustering: its cost grows with k squared, so more is picked in rounds."""

_ITERATIONS = 20


def spread(points: NDArray[np.float64], *, weights: NDArray[np.float64], k: int, seed: int) -> NDArray[np.int64]:
    """Indices of `k` distinct rows of `points` (n, d), one nearest to each centre of a weighted k-means, ascending.

    Deterministic for the same rows in the same order; pass rows in a canonical order. `k >= n` returns every row.
    Weights that are all zero count as equal.
    """
    n = len(points)
    if k >= n:
        return np.arange(n)
    masses = weights if weights.sum() > 0 else np.ones(n)
    centres = _centres(points, masses, k, np.random.default_rng(seed))
    distances = _squared_distances(points, centres)
    chosen = np.zeros(n, dtype=np.bool_)
    for column in range(k):
        nearest = int(np.argmin(np.where(chosen, np.inf, distances[:, column])))
        chosen[nearest] = True
    return np.flatnonzero(chosen)


def _centres(
    points: NDArray[np.float64], masses: NDArray[np.float64], k: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Lloyd's iterations from a k-means++ start; a cluster that lost all its mass keeps its centre."""
    centres = points[_plus_plus(points, masses, k, rng)]
    labels = np.full(len(points), -1, dtype=np.int64)
    for _ in range(_ITERATIONS):
        nearest = np.argmin(_squared_distances(points, centres), axis=1)
        if np.array_equal(nearest, labels):
            break
        labels = nearest
        mass = np.bincount(labels, weights=masses, minlength=k)
        order = np.argsort(labels, kind="stable")
        weighted = points[order] * masses[order, None]
        present, starts = np.unique(labels[order], return_index=True)
        sums = np.add.reduceat(weighted, starts, axis=0)
        heavy = mass[present] > 0
        centres[present[heavy]] = sums[heavy] / mass[present[heavy], None]
    return centres


def _plus_plus(
    points: NDArray[np.float64], masses: NDArray[np.float64], k: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Arthur and Vassilvitskii 2007: each next seed with probability proportional to mass x squared distance."""
    picked = np.empty(k, dtype=np.int64)
    picked[0] = _draw(masses, rng)
    nearest = _squared_distances(points, points[picked[:1]])[:, 0]
    for index in range(1, k):
        picked[index] = _draw(masses * nearest, rng)
        to_new = _squared_distances(points, points[picked[index : index + 1]])[:, 0]
        np.minimum(nearest, to_new, out=nearest)
    return picked


def _draw(masses: NDArray[np.float64], rng: np.random.Generator) -> int:
    """An index with probability proportional to its mass; uniform when all are zero (only duplicates are left)."""
    cumulative = np.cumsum(masses)
    point = rng.random()
    if cumulative[-1] <= 0:
        return int(point * len(masses))
    return min(int(np.searchsorted(cumulative, point * cumulative[-1], side="right")), len(masses) - 1)


def _squared_distances(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = np.einsum("ij,ij->i", points, points)[:, None] + np.einsum(
        "ij,ij->i", centres, centres
    )
    squares -= 2.0 * (points @ centres.T)
    np.maximum(squares, 0.0, out=squares)
    return squares

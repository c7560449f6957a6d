import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from annotation_ops.domain.selection.diversity import spread


def _blobs(sizes: list[int]) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(10.0 * i, 0.1, (size, 2)) for i, size in enumerate(sizes)])


def test_one_sample_is_taken_from_each_of_well_separated_clusters_of_unequal_size() -> None:
    points = _blobs([100, 10, 3])

    chosen = spread(points, weights=np.ones(113), k=3, seed=1)

    assert sorted(int(points[row, 0] / 10 + 0.5) for row in chosen) == [0, 1, 2]


def test_weight_pulls_a_centre_towards_uncertain_samples() -> None:
    points = np.array([[0.0], [1.0], [2.0], [3.0], [4.0]])

    chosen = spread(points, weights=np.array([0.01, 0.01, 0.01, 0.01, 1.0]), k=1, seed=0)

    assert chosen.tolist() == [4]


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 5))
def test_the_chosen_rows_are_distinct_even_among_duplicates(n: int, k: int, seed: int) -> None:
    points = np.repeat(np.arange((n + 1) // 2, dtype=float), 2)[:n, None]

    chosen = spread(points, weights=np.zeros(n), k=k, seed=seed)

    assert len(set(chosen.tolist())) == min(n, k)


def test_the_same_seed_gives_the_same_rows_and_another_seed_may_not() -> None:
    points = np.random.default_rng(3).normal(size=(300, 8))
    weights = np.ones(300)

    first = spread(points, weights=weights, k=30, seed=5)

    assert np.array_equal(first, spread(points, weights=weights, k=30, seed=5))
    assert not np.array_equal(first, spread(points, weights=weights, k=30, seed=6))


def test_digits_are_covered_as_well_as_by_scikit_learns_k_means() -> None:
    points = load_digits().data[:600] / 16.0
    theirs = KMeans(20, n_init=1, random_state=0).fit(points)

    chosen = spread(points, weights=np.ones(600), k=20, seed=0)

    nearest = theirs.transform(points).argmin(axis=0)
    reach = [np.linalg.norm(points[:, None] - points[rows], axis=2).min(axis=1).mean() for rows in (chosen, nearest)]
    assert reach[0] == pytest.approx(reach[1], rel=0.05)

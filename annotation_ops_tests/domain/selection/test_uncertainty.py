import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.selection.uncertainty import score_columns, score_matrix

rows = st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=40)


def test_margin_is_one_minus_the_gap_between_the_two_largest() -> None:
    scores = score_matrix(np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [0.4, 0.2, 0.4]]), measure="margin")

    assert scores.uncertainty == pytest.approx([0.8, 0.0, 1.0])


def test_least_confidence_is_one_minus_the_largest() -> None:
    scores = score_matrix(np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]), measure="least_confidence")

    assert scores.uncertainty == pytest.approx([0.5, 0.2])


@given(rows)
def test_entropy_is_that_of_scipy_over_the_largest_possible(raw: list[list[float]]) -> None:
    matrix = np.array(raw) / np.sum(raw, axis=1, keepdims=True)

    scores = score_matrix(matrix, measure="entropy")

    assert scores.uncertainty == pytest.approx(scipy_entropy(matrix, axis=1) / np.log(3), abs=1e-12)


@pytest.mark.parametrize("measure", ["margin", "entropy", "least_confidence"])
@pytest.mark.parametrize(
    "bad",
    [
        [np.nan, 0.5, 0.5],
        [np.inf, 0.0, 0.0],
        [np.inf, -np.inf, 1.0],
        [-0.1, 0.6, 0.5],
        [0.5, 0.2, 0.2],
        [0.5, 0.3, 0.202],
        [0.0, 0.0, 0.0],
    ],
)
def test_a_row_that_is_no_distribution_has_no_score(bad: list[float], measure: str) -> None:
    scores = score_matrix(np.array([bad, [0.2, 0.3, 0.5]]), measure=measure)

    assert np.isnan(scores.uncertainty).tolist() == [True, False]


def test_a_sum_within_a_thousandth_of_one_is_a_distribution() -> None:
    scores = score_matrix(np.array([[0.5, 0.3, 0.2009], [1.0009, 0.0, 0.0]]), measure="margin")

    assert scores.uncertainty == pytest.approx([0.8, 0.0])


@given(rows, st.sampled_from(["margin", "entropy", "least_confidence"]))
def test_scores_lie_between_zero_and_one_and_do_not_depend_on_class_order(raw: list[list[float]], measure: str) -> None:
    matrix = np.array(raw) / np.sum(raw, axis=1, keepdims=True)

    forward = score_matrix(matrix, measure=measure).uncertainty
    backward = score_matrix(matrix[:, ::-1], measure=measure).uncertainty

    assert ((forward >= 0) & (forward <= 1)).all()
    assert forward == pytest.approx(backward, abs=1e-12)


def test_columns_and_matrix_give_the_same_bits_in_blocks_of_any_size() -> None:
    matrix = np.random.default_rng(1).dirichlet(np.ones(5), 40_000)

    whole = score_matrix(matrix, measure="margin").uncertainty
    columns = [np.ascontiguousarray(matrix[30_000:, k]) for k in range(5)]

    assert np.array_equal(whole[30_000:], score_columns(columns, measure="margin").uncertainty)


def test_the_predicted_class_is_the_first_of_equals() -> None:
    scores = score_matrix(np.array([[0.4, 0.4, 0.2], [0.1, 0.2, 0.7]]), measure="margin", with_class=True)

    assert scores.predicted.tolist() == [0, 2]


def test_one_class_is_refused() -> None:
    with pytest.raises(InvalidInput, match="found 1 class probabilities"):
        score_columns([np.ones(3)], measure="margin")

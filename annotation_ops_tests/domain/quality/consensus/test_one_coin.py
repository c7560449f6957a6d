import numpy as np
import pytest

from annotation_ops.domain.quality.consensus.one_coin import one_coin
from annotation_ops.domain.quality.consensus.ratings import Ratings
from annotation_ops_tests.domain.quality.crowds import SMALL_CROWD, crowd, of_grid


def test_one_round_without_pooling_is_that_of_crowd_kit() -> None:
    # crowd-kit 1.4.2, OneCoinDawidSkene(n_iter=1), rounded to 8 digits.
    expected = [
        [0.00112618, 0.00300777, 0.99586605],
        [0.01535467, 0.97685167, 0.00779366],
        [0.00772061, 0.17152277, 0.82075662],
        [0.01103262, 0.0434325, 0.94553488],
        [0.00261517, 0.99414009, 0.00324474],
        [0.02384196, 0.46998243, 0.50617561],
        [0.02893932, 0.00877544, 0.96228524],
        [0.47947939, 0.35541071, 0.1651099],
        [0.9967368, 0.00152801, 0.00173519],
        [0.9967368, 0.00152801, 0.00173519],
        [0.8973649, 0.00688838, 0.09574671],
        [0.03383967, 0.20865001, 0.75751032],
    ]
    ratings = Ratings.of(of_grid(SMALL_CROWD, categories="012"))

    found = one_coin(ratings, pooling=0.0, prior="estimated", max_accuracy=1 - 1e-10, rounds=1, settled=0.0)

    assert found.posterior == pytest.approx(np.array(expected), abs=1e-7)
    assert found.accuracy == pytest.approx([0.81456892, 0.75985883, 0.90521264, 0.65071359, 0.52204581], abs=1e-7)


def test_skills_are_recovered_and_a_reversed_annotator_counts_against_its_label() -> None:
    generator = np.random.default_rng(0)
    truth, judgements = crowd(generator, kinds=(0.95, 0.9, 0.8, 0.7, 0.1), n=800, k=4, prevalence=(0.5, 0.5))

    found = one_coin(Ratings.of(judgements))

    assert np.abs(found.accuracy - (0.95, 0.9, 0.8, 0.7, 0.1)).max() < 0.05
    assert found.weights[4] < -1.5
    assert (found.posterior.argmax(axis=1) == truth).mean() > 0.93


def test_one_category_is_certain_and_divides_by_nothing() -> None:
    found = one_coin(Ratings.of(of_grid(("x x", "x ."), categories="x")))

    assert found.posterior.tolist() == [[1.0], [1.0]]

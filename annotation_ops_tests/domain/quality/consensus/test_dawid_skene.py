import numpy as np
import pytest

from annotation_ops.domain.errors import InvalidInput, UnsafeInput
from annotation_ops.domain.quality.consensus.dawid_skene import dawid_skene, log_scores
from annotation_ops.domain.quality.consensus.ratings import Ratings, softmax
from annotation_ops_tests.domain.quality.crowds import SMALL_CROWD, crowd, of_grid

ANAESTHETISTS = """
1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343 1111111 2223212 1211111
1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111 2322222 1111111 1111111 1121121
1111111 3333233 1111111 2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 2222222
"""
"""Dawid & Skene (1979), table 1: fitness of 45 patients; observer 1 three times, then observers 2 to 5."""
OBSERVERS = (0, 0, 0, 1, 2, 3, 4)


def anaesthetists() -> Ratings:
    ratings = [
        (patient, observer, int(grade) - 1)
        for patient, grades in enumerate(ANAESTHETISTS.split())
        for observer, grade in zip(OBSERVERS, grades, strict=True)
    ]
    task, annotator, label = np.array(ratings).T
    return Ratings(task, annotator, label, 45, 5, 4)


def test_the_anaesthetists_of_the_paper_come_out_as_published() -> None:
    found = dawid_skene(anaesthetists(), smoothing=0.0, settled=1e-6)

    assert found.settled
    assert found.prior.round(2) == pytest.approx([0.40, 0.42, 0.11, 0.07])
    assert found.confusion[0].round(2) == pytest.approx(
        np.array([[0.89, 0.11, 0, 0], [0.07, 0.88, 0.05, 0], [0, 0.34, 0.66, 0], [0, 0, 0.56, 0.44]])
    )
    assert (np.argsort(found.posterior.max(axis=1))[:3] + 1).tolist() == [35, 38, 7]


def test_five_rounds_without_smoothing_are_those_of_crowd_kit() -> None:
    # crowd-kit 1.4.2, DawidSkene(n_iter=5), rounded to 8 digits.
    expected = [
        [0.0, 2.168e-05, 0.99997832],
        [0.0, 1.0, 0.0],
        [0.0, 0.00203336, 0.99796664],
        [0.0, 2.134e-05, 0.99997866],
        [0.0, 1.0, 0.0],
        [0.0, 1.327e-05, 0.99998673],
        [0.0, 0.0, 1.0],
        [0.87681265, 0.00041118, 0.12277617],
        [1.0, 0.0, 0.0],
        [1.0, 0.0, 0.0],
        [1.0, 0.0, 0.0],
        [0.0, 0.62988706, 0.37011294],
    ]

    found = dawid_skene(Ratings.of(of_grid(SMALL_CROWD, categories="012")), smoothing=0.0, rounds=5, settled=0.0)

    assert found.rounds == 5
    assert found.posterior == pytest.approx(np.array(expected), abs=1e-7)


def test_smoothing_moves_the_posterior_little() -> None:
    ratings = Ratings.of(of_grid(SMALL_CROWD, categories="012"))

    plain, smoothed = (dawid_skene(ratings, smoothing=s, rounds=1, settled=0.0).posterior for s in (0.0, 0.01))

    assert 0 < np.abs(plain - smoothed).max() < 0.02


def test_ratings_in_another_order_and_in_blocks_give_the_same() -> None:
    generator = np.random.default_rng(1)
    task, annotator, label = generator.integers(0, [40_000, 9, 3], (90_000, 3)).T
    ratings = Ratings(task, annotator, label, 40_000, 9, 3)
    order = generator.permutation(90_000)
    shuffled = Ratings(task[order], annotator[order], label[order], 40_000, 9, 3)

    one, other = dawid_skene(ratings, rounds=3), dawid_skene(shuffled, rounds=3)

    assert one.posterior == pytest.approx(other.posterior, abs=1e-9)
    assert one.confusion.sum(axis=2) == pytest.approx(np.ones((9, 3)))


@pytest.mark.parametrize("pooled_to", ["crowd", "coin"])
def test_pooling_recovers_people_of_few_ratings_better_than_free_matrices(pooled_to) -> None:
    generator = np.random.default_rng(5)
    truth, judgements = crowd(generator, kinds=(0.9, 0.8, 0.7) * 20, n=200, k=3, prevalence=(0.6, 0.3, 0.1))
    ratings = Ratings.of(judgements)

    free, pooled = (
        dawid_skene(ratings, pooling=pooling, pooled_to=pooled_to).posterior.argmax(axis=1) for pooling in (0.0, 4.0)
    )

    assert (pooled == truth).mean() > (free == truth).mean() + 0.05


def test_log_scores_are_the_posterior_up_to_the_last_step() -> None:
    ratings = anaesthetists()
    fitted = dawid_skene(ratings, settled=1e-9)

    assert softmax(log_scores(ratings, fitted)) == pytest.approx(fitted.posterior, abs=1e-6)


def test_matrices_that_would_not_fit_into_memory_are_refused_with_the_way_out() -> None:
    with pytest.raises(UnsafeInput, match=r"1000 annotators and 1000 categories.*Use one_coin"):
        dawid_skene(Ratings(np.array([0]), np.array([0]), np.array([0]), 1, 1000, 1000))


def test_a_rating_of_an_unknown_task_is_refused() -> None:
    with pytest.raises(InvalidInput, match="task: found 1 entries"):
        Ratings(np.array([3]), np.array([0]), np.array([0]), 3, 1, 1)

import numpy as np
import pytest

from annotation_ops.domain.quality.consensus.ensemble import collapsed, ensemble
from annotation_ops.domain.quality.consensus.members import Member, Members, counting_members, em_members
from annotation_ops.domain.quality.consensus.ratings import Ratings, shares
from annotation_ops.domain.quality.consensus.weighted_vote import weighted_vote
from annotation_ops.domain.quality.judgements import FloatArray, IntArray, Judgements
from annotation_ops_tests.domain.quality.crowds import crowd, of_grid

SKILLED = (0.95, 0.9, 0.88, 0.85, 0.82, 0.8, 0.78, 0.75, 0.72, 0.7)
THIRD_SPAM = (*SKILLED, "random", "constant", "random", "constant", "random")
THIRD_CONSTANT = (*SKILLED, *("constant",) * 5)


def accuracy(posterior: FloatArray, truth: IntArray) -> float:
    leading = posterior >= posterior.max(axis=1, keepdims=True) - 1e-9
    return float((leading[np.arange(len(truth)), truth] / leading.sum(axis=1)).mean())


@pytest.mark.parametrize("kinds", [SKILLED, THIRD_SPAM, THIRD_CONSTANT], ids=["clean", "spam", "constant"])
@pytest.mark.parametrize("prevalence", [(0.9, 0.1), (0.7, 0.2, 0.07, 0.03), (0.25,) * 4], ids=str)
@pytest.mark.parametrize("k", [2, 3, 5])
def test_it_does_not_fall_half_a_point_below_majority_among_spammers_and_rare_classes(kinds, prevalence, k) -> None:
    gains = []
    for seed in range(4):
        truth, judgements = crowd(np.random.default_rng(seed), kinds=kinds, n=300, k=k, prevalence=prevalence)
        found = ensemble(judgements).posterior
        gains.append(accuracy(found, truth) - accuracy(shares(judgements.counts()), truth))

    assert np.mean(gains) > -0.005


def test_below_two_judgements_a_task_nothing_is_estimated_by_em() -> None:
    _, judgements = crowd(np.random.default_rng(0), kinds=SKILLED, n=100, k=1, prevalence=(0.5, 0.5))

    found = ensemble(judgements)

    assert set(found.dropped) == {"coins", "coins_flat", "matrices", "matrices_flat"}
    assert set(found.dropped.values()) == {"overlap"}
    assert found.posterior.argmax(axis=1).tolist() == judgements.label_index.tolist()


def test_a_tie_that_only_the_prior_would_break_goes_to_people_but_skill_may_break_it() -> None:
    _, judgements = crowd(np.random.default_rng(0), kinds=(0.95, 0.95, 0.5), n=300, k=3, prevalence=(0.8, 0.2))
    known = [
        (judgements.tasks[t], judgements.annotators[a], str(label))
        for t, a, label in zip(judgements.task_index, judgements.annotator_index, judgements.label_index, strict=True)
    ]
    even = [("z-even", "a000", "0"), ("z-even", "a001", "1")]
    uneven = [("z-uneven", "a000", "1"), ("z-uneven", "a002", "0")]

    found = ensemble(Judgements.from_rows([*known, *even, *uneven], categories="01"))

    assert found.tied[-2:].tolist() == [True, False]
    assert found.posterior[-1, 1] > 0.6


def test_two_annotators_stay_tied_where_they_disagree_whatever_the_frequent_class() -> None:
    found = ensemble(of_grid(("x x x x x x y", "x x x x x x x"), categories="xy"))

    assert found.posterior[-1] == pytest.approx([0.5, 0.5])
    assert found.posterior[0, 0] == pytest.approx(2.5 / 3)


def _stuck(posterior: FloatArray) -> Members:
    return Members({"coins": Member(posterior, posterior, np.ones(1), logarithmic=True)}, None)


def test_a_member_that_loses_a_class_or_contradicts_the_votes_has_no_say() -> None:
    counts = np.array([[3.0, 0.0]] * 80 + [[0.0, 3.0]] * 20)
    everything_first = np.tile([0.99, 0.01], (100, 1))
    reversed_votes = shares(counts)[:, ::-1]
    faithful = np.where(counts > 0, 0.9, 0.1)

    assert collapsed(_stuck(everything_first), counts) == {"coins": "loses_class"}
    assert collapsed(_stuck(reversed_votes), counts) == {"coins": "disagrees"}
    assert collapsed(_stuck(faithful), counts) == {}


def test_a_crowd_on_which_em_collapses_is_caught() -> None:
    truth, judgements = crowd(
        np.random.default_rng(3), kinds=(*SKILLED[-4:], *("constant",) * 3), n=400, k=3, prevalence=(0.25,) * 4
    )
    found = ensemble(judgements)
    alone = em_members(Ratings.of(judgements)).by_name["coins"].posterior

    assert found.dropped["coins"] in {"loses_class", "disagrees"}
    assert accuracy(alone, truth) < accuracy(shares(judgements.counts()), truth) - 0.1
    assert accuracy(found.posterior, truth) > accuracy(shares(judgements.counts()), truth)


def test_every_member_can_leave_one_rating_out() -> None:
    _, judgements = crowd(np.random.default_rng(1), kinds=SKILLED, n=60, k=3, prevalence=(0.5, 0.3, 0.2))
    ratings = Ratings.of(judgements)
    members = {**counting_members(ratings, weighted_vote(judgements)).by_name, **em_members(ratings).by_name}
    last = ratings.label[-1]

    for name, member in members.items():
        without = member.left_out(ratings, slice(-1, None))[0]
        assert without.sum() == pytest.approx(1.0), name
        assert without[last] < member.posterior[-1, last], name


@pytest.mark.parametrize("seed", range(4))
def test_names_and_order_do_not_matter_even_where_the_start_is_symmetric(seed) -> None:
    generator = np.random.default_rng(seed)
    # Two factions that contradict each other everywhere: no reason to prefer either but the last digit of a sum.
    rows = [(f"t{t:02}", f"a{a}", "xy"[(t + (a > 3)) % 2]) for t in range(30) for a in range(7) if a != 3]
    names = {f"a{a}": f"n{number}" for a, number in enumerate(generator.permutation(7))}
    renamed = [(task, names[name], label) for task, name, label in rows]
    order = generator.permutation(len(rows))

    one = ensemble(Judgements.from_rows(rows, categories="xy"))
    other = ensemble(Judgements.from_rows([renamed[i] for i in order], categories="xy"))

    assert one.posterior == pytest.approx(other.posterior, abs=1e-9)
    assert one.dropped == other.dropped


def test_too_many_annotators_and_classes_leave_the_matrices_out() -> None:
    generator = np.random.default_rng(0)
    rows = [(f"t{t}", f"a{a}", str(t % 120)) for t in range(400) for a in generator.choice(900, 3, replace=False)]

    found = ensemble(Judgements.from_rows(rows, categories=[str(label) for label in range(200)]))

    assert found.dropped["matrices"] == found.dropped["matrices_flat"] == "size"

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from annotation_ops.adapters.platforms.simulated.behaviour import Visit, answer, answer_probabilities, seconds_needed
from annotation_ops.adapters.platforms.simulated.draws import uniform
from annotation_ops.adapters.platforms.simulated.simulation import (
    SimulatedPerson,
    Simulation,
    SliceModifier,
    Spammer,
    Truth,
    TruthItem,
)
from annotation_ops_tests.adapters.platforms.simulated.bench import DIGITS, crowd_of

shares = st.floats(0, 1)


def answers(person: SimulatedPerson, count: int, *, truth: str = "4", **item: str) -> list[str]:
    simulation = Simulation(crowd_of(person), Truth(), seed=5)
    return [
        answer(person, Visit(f"s3://raw/{n}.png", TruthItem(truth, item), DIGITS, 0), simulation=simulation)
        for n in range(count)
    ]


def test_draws_are_uniform_and_do_not_depend_on_how_words_are_joined() -> None:
    draws = [uniform(1, "x", str(number)) for number in range(2000)]

    assert stats.kstest(draws, "uniform").pvalue > 0.01
    assert uniform(1, "ab", "c") != uniform(1, "a", "bc")
    assert 0 < min(draws) < max(draws) < 1


def test_the_share_of_right_answers_is_the_declared_accuracy() -> None:
    right = answers(SimulatedPerson("ann", accuracy=0.8), 3000).count("4")

    assert stats.binomtest(right, 3000, 0.8).pvalue > 0.001


def test_a_declared_confusion_has_its_probability_and_takes_room_from_the_right_answer() -> None:
    person = SimulatedPerson("ann", accuracy=0.95, confusions={"4": {"9": 0.25}})
    given_answers = answers(person, 3000)

    assert answer_probabilities(person, TruthItem("4"), DIGITS, session_tasks=0)["4"] == pytest.approx(0.75)
    assert stats.binomtest(given_answers.count("9"), 3000, 0.25).pvalue > 0.001
    assert answer_probabilities(person, TruthItem("7"), DIGITS, session_tasks=0)["7"] == pytest.approx(0.95)


def test_a_slice_modifier_applies_where_all_its_pairs_hold() -> None:
    person = SimulatedPerson("ann", accuracy=0.9, slices=(SliceModifier((("scanner", "b"), ("ink", "red")), 0.5),))
    of = [
        answer_probabilities(person, TruthItem("4", slices), DIGITS, session_tasks=0)["4"]
        for slices in ({"scanner": "b", "ink": "red"}, {"scanner": "b"}, {})
    ]

    assert of == pytest.approx([0.45, 0.9, 0.9])


def test_fatigue_costs_accuracy_per_hundred_tasks_down_to_zero() -> None:
    person = SimulatedPerson("ann", accuracy=0.9, fatigue=0.1)
    of = [answer_probabilities(person, TruthItem("4"), DIGITS, session_tasks=done)["4"] for done in (0, 100, 250, 5000)]

    assert of == pytest.approx([0.9, 0.8, 0.65, 0.0])


@given(shares, st.dictionaries(st.sampled_from(["1", "9", "z"]), st.floats(0, 0.3)), shares, st.integers(0, 500))
def test_answer_probabilities_are_a_distribution_over_the_labels(
    accuracy: float, row: dict[str, float], fatigue: float, done: int
) -> None:
    person = SimulatedPerson("ann", accuracy=accuracy, confusions={"4": row}, fatigue=fatigue)
    found = answer_probabilities(person, TruthItem("4"), DIGITS, session_tasks=done)

    assert sum(found.values()) == pytest.approx(1.0)
    assert all(probability >= -1e-12 for probability in found.values())
    assert set(found) <= set(DIGITS)


def test_two_labels_leave_nothing_over_even_when_the_row_names_the_only_other_one() -> None:
    person = SimulatedPerson("ann", accuracy=0.5, confusions={"yes": {"no": 0.1}})
    found = answer_probabilities(person, TruthItem("yes"), ("yes", "no"), session_tasks=0)

    assert found == pytest.approx({"yes": 0.5, "no": 0.5})


def test_a_random_spammer_is_right_by_chance_only_and_a_constant_one_says_one_thing() -> None:
    right = answers(SimulatedPerson("bot", accuracy=1.0, spammer=Spammer("random")), 3000).count("4")

    assert stats.binomtest(right, 3000, 0.1).pvalue > 0.001
    assert set(answers(SimulatedPerson("bot", spammer=Spammer("always", "1")), 50)) == {"1"}


def test_a_copycat_says_what_the_other_says() -> None:
    ann, cat = SimulatedPerson("ann", accuracy=0.5), SimulatedPerson("cat", spammer=Spammer("copies", "ann"))
    simulation = Simulation(crowd_of(ann, cat), Truth(), seed=5)
    visits = [Visit(f"s3://raw/{number}.png", TruthItem("4"), DIGITS, 0) for number in range(50)]
    copied = [answer(cat, visit, simulation=simulation) for visit in visits]

    assert copied == [answer(ann, visit, simulation=simulation) for visit in visits]
    assert len(set(copied)) > 1


def test_two_people_err_independently() -> None:
    wrong = [
        {n for n, label in enumerate(answers(SimulatedPerson(name, accuracy=0.7), 2000)) if label != "4"}
        for name in ("ann", "bob")
    ]

    assert stats.binomtest(len(wrong[0] & wrong[1]), 2000, 0.09).pvalue > 0.001


def test_without_a_truth_every_label_is_as_likely() -> None:
    person = SimulatedPerson("ann", accuracy=1.0)
    simulation = Simulation(crowd_of(person), Truth(), seed=5)
    given_answers = [
        answer(person, Visit(str(number), None, DIGITS, 0), simulation=simulation) for number in range(2000)
    ]

    assert stats.chisquare([given_answers.count(label) for label in DIGITS]).pvalue > 0.001


def test_seconds_have_the_declared_median_and_spread() -> None:
    person = SimulatedPerson("ann", median_seconds=8, sigma=0.5)
    simulation = Simulation(crowd_of(person), Truth(), seed=5)
    seconds = [seconds_needed(person, str(number), simulation=simulation) for number in range(2000)]

    assert stats.kstest(seconds, stats.lognorm(0.5, scale=8).cdf).pvalue > 0.01

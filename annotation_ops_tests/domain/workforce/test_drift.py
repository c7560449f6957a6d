from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import beta

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import FloatArray, Judgements
from annotation_ops.domain.workforce.drift import CHANGE_RATE, LARGER_STEP, LEVELS, SMALLEST_FALL, drift, histories
from annotation_ops.domain.workforce.reference import left_out_reference

START = datetime(2026, 11, 1, tzinfo=UTC)


def people(histories: FloatArray) -> dict[str, tuple[float, ...]]:
    return {f"a{at:04}": tuple(map(float, row)) for at, row in enumerate(histories.tolist())}


def enumerated_evidence(history: tuple[float, ...]) -> float:
    """The mixture written out: every start, every time of the fall, every level it may fall to."""
    n, right = len(history), sum(history)

    def likelihood(level: float, part: tuple[float, ...]) -> float:
        return float(np.prod([level if one else 1 - level for one in part]))

    falls = {
        one: {
            other: LARGER_STEP ** (one - other)
            for other in range(len(LEVELS))
            if LEVELS[other] <= LEVELS[one] - SMALLEST_FALL
        }
        for one in range(len(LEVELS))
    }
    starts = [one for one in falls if falls[one]]
    total = 0.0
    for one in starts:
        still = 1.0
        for t in range(1, n):
            chance = CHANGE_RATE / (t + 1)
            weight = sum(falls[one].values())
            for other, share in falls[one].items():
                ends = likelihood(LEVELS[one], history[:t]) * likelihood(LEVELS[other], history[t:])
                total += still * chance * share / weight * ends
            still *= 1 - chance
        total += still * likelihood(LEVELS[one], history)
    return total / len(starts) / float(beta(right + 0.5, n - right + 0.5) / beta(0.5, 0.5))


@pytest.mark.parametrize("history", [(1.0,), (1.0, 1.0, 0.0, 0.0), (0.0, 1.0, 1.0, 1.0, 0.0), (1.0,) * 6 + (0.0,) * 6])
def test_the_e_value_is_the_mixture_written_out_over_jeffreys_marginal(history: tuple[float, ...]) -> None:
    (found,) = drift({"ann": history})

    assert found.e_value == pytest.approx(enumerated_evidence(history), rel=1e-9)


def test_a_constant_accuracy_drawn_from_jeffreys_prior_gives_e_values_of_mean_one() -> None:
    """All 2^8 histories, each as probable as Jeffreys' prior makes it: a test martingale keeps its start."""
    every = tuple(product((0.0, 1.0), repeat=8))
    found = drift({f"{at:03}": history for at, history in enumerate(every)})
    probability = np.array([beta(sum(one) + 0.5, 8 - sum(one) + 0.5) / beta(0.5, 0.5) for one in every])

    assert float((probability * np.array([one.e_value for one in found])).sum()) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("accuracy", [0.97, 0.8, 0.5])
def test_constant_accuracy_is_hardly_ever_alarmed_however_often_one_looks(accuracy: float) -> None:
    found = drift(people(np.random.default_rng(1).random((300, 400)) < accuracy))

    assert np.mean([one.alarmed_at is not None for one in found]) <= 0.05
    assert not any(one.drifting for one in found)


def test_probabilities_of_being_right_and_people_who_learn_raise_no_more_alarms() -> None:
    generator = np.random.default_rng(2)
    soft = generator.beta(8, 1.5, (200, 300))
    learning = generator.random((200, 300)) < 0.6 + 0.35 * (1 - np.exp(-np.arange(300) / 60))

    for history in (soft, learning):
        assert np.mean([one.alarmed_at is not None for one in drift(people(history))]) <= 0.05


def test_a_fall_from_95_to_70_percent_is_found_within_a_hundred_judgements() -> None:
    generator = np.random.default_rng(3)
    fallen = np.concatenate([generator.random((150, 300)) < 0.95, generator.random((150, 100)) < 0.7], axis=1)

    found = drift(people(fallen))

    assert np.mean([one.alarmed_at is not None for one in found]) >= 0.95
    assert abs(float(np.median([one.since for one in found if one.since])) - 300) <= 10


def test_one_who_falls_among_forty_is_found_and_the_others_are_left_alone() -> None:
    generator = np.random.default_rng(4)
    steady = generator.random((40, 500)) < 0.93
    steady[7, 350:] = generator.random(150) < 0.6

    found = drift(people(steady))

    assert [one.annotator_id for one in found if one.drifting] == ["a0007"]
    assert (found[7].before.value or 0) > 0.88 > 0.7 > (found[7].after.value or 1)
    assert {one.before.reason for one in found if one.since is None} == {"no_drift"}


def test_a_rise_is_no_drift() -> None:
    (found,) = drift({"ann": (0.0, 1.0) * 60 + (1.0,) * 100})

    assert (found.alarmed_at, found.drifting, found.e_value < 1) == (None, False, True)


def test_an_alarm_is_raised_at_the_judgement_that_first_reached_it_and_stays() -> None:
    history = (1.0,) * 150 + (0.0,) * 12
    (found,) = drift({"ann": history})
    assert found.alarmed_at is not None

    (before,), (then,) = (drift({"ann": history[:n]}) for n in (found.alarmed_at - 1, found.alarmed_at))
    (later,) = drift({"ann": history + (1.0,) * 500})
    assert before.e_value < 20 <= then.e_value
    assert later.alarmed_at == found.alarmed_at


def test_an_empty_history_says_nothing() -> None:
    (found,) = drift({"ann": ()})

    assert (found.n, found.e_value, found.alarmed_at, found.drifting) == (0, 1.0, None, False)
    assert drift({}) == ()


@settings(max_examples=25)
@given(st.lists(st.lists(st.sampled_from([0.0, 0.4, 1.0]), max_size=12), min_size=2, max_size=5), st.data())
def test_who_else_is_asked_about_and_under_which_name_does_not_change_the_evidence(
    rows: list[list[float]], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(rows))))
    together = drift({f"a{place}": rows[at] for place, at in enumerate(order)})

    for place, at in enumerate(order):
        (alone,) = drift({"x": rows[at]})
        assert together[place].e_value == pytest.approx(alone.e_value, rel=1e-12)
        assert together[place].alarmed_at == alone.alarmed_at


@pytest.mark.parametrize("value", [-0.01, 1.5, float("nan")])
def test_a_value_outside_its_range_names_the_person_and_the_judgement(value: float) -> None:
    with pytest.raises(InvalidInput, match=r"'ann'.*judgement 2"):
        drift({"ann": (1.0, value)})


def test_a_rate_outside_its_range_is_refused() -> None:
    with pytest.raises(InvalidInput, match="false_alarm_rate: found 5"):
        drift({}, false_alarm_rate=5)


def test_histories_come_in_order_of_time_then_of_task_and_leave_out_what_cannot_be_compared() -> None:
    rows = [(task, "ann", answer) for task, answer in (("t1", "a"), ("t2", "b"), ("t3", "a"), ("t4", "a"))]
    judged = Judgements.from_rows(rows, categories=("a", "b"))
    gold = {"t1": "a", "t2": "a", "t3": "b"}
    made_at = {(f"t{at}", "ann"): START - timedelta(hours=min(at, 2)) for at in (1, 2, 3, 4)}

    found = histories(judged, reference=left_out_reference(judged, gold=gold), made_at=made_at)

    # t2 and t3 at the same time, before t1; nothing is known of t4.
    assert found == {"ann": (0.0, 0.0, 1.0)}


def test_a_judgement_without_a_time_is_named() -> None:
    judged = Judgements.from_rows([("t1", "ann", "a")], categories=("a", "b"))

    with pytest.raises(InvalidInput, match="'ann' on task 't1'"):
        histories(judged, reference=left_out_reference(judged, gold=None), made_at={})

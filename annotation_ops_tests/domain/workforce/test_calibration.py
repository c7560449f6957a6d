from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.workforce.calibration import (
    CalibrationPlan,
    CalibrationRules,
    plan_round,
    round_power,
    spent_error,
)
from annotation_ops.domain.workforce.skill import Confusion

GOLD = {f"{label}-{at}": label for label in ("cat", "dog", "fox", "owl") for at in range(30)}


def planned(
    gold: dict[str, str] = GOLD,
    *,
    size: int = 20,
    confusions: tuple[Confusion, ...] = (),
    seen: tuple[str, ...] = (),
    seed: int = 1,
) -> CalibrationPlan:
    return plan_round(
        "ann", task_type="classification", gold=gold, size=size, confusions=confusions, seen=seen, seed=seed
    )


def test_a_first_round_is_spread_evenly_over_the_classes() -> None:
    plan = planned()

    assert plan.by_class == {"cat": 5, "dog": 5, "fox": 5, "owl": 5}
    assert (len(set(plan.tasks)), plan.emphasised, plan.repeated, plan.missing) == (20, {}, (), 0)


def test_half_of_a_later_round_is_of_the_classes_that_were_confused_on_both_sides() -> None:
    plan = planned(confusions=(Confusion("cat", "dog", 6.0), Confusion("cat", "fox", 3.0)))

    assert sum(plan.emphasised.values()) == 10
    assert plan.emphasised["cat"] > plan.emphasised["dog"] > plan.emphasised["fox"]
    assert plan.by_class["owl"] == 2


def test_confusions_of_classes_without_gold_do_not_shrink_the_round() -> None:
    plan = planned(confusions=(Confusion("elk", "emu", 4.0),))

    assert plan.by_class == {"cat": 5, "dog": 5, "fox": 5, "owl": 5}


def test_tasks_seen_before_come_again_only_where_there_are_no_others() -> None:
    cats = tuple(task for task in GOLD if task.startswith("cat"))

    fresh = planned(seen=cats[:20])
    short = planned(seen=cats[:27])

    assert fresh.repeated == ()
    assert len(short.repeated) == 2
    assert set(short.repeated) < set(cats[:27])


def test_a_gold_set_that_is_too_small_is_used_up_and_the_rest_reported_missing() -> None:
    plan = planned({"a": "cat", "b": "dog", "c": "dog"}, size=5)

    assert (set(plan.tasks), plan.missing) == ({"a", "b", "c"}, 2)


def test_a_class_with_few_tasks_leaves_its_share_to_the_others() -> None:
    plan = planned({"rare": "elk"} | {task: label for task, label in GOLD.items() if label in ("cat", "dog")}, size=21)

    assert plan.by_class == {"cat": 10, "dog": 10, "elk": 1}


def test_the_order_of_the_tasks_does_not_tell_their_class() -> None:
    labels = [GOLD[task] for task in planned(size=40).tasks]

    changes = sum(one != other for one, other in pairwise(labels))
    assert changes > 20


def test_another_seed_or_person_gets_other_tasks() -> None:
    other = plan_round("bob", task_type="classification", gold=GOLD, size=20, seed=1)

    assert set(planned(seed=2).tasks) != set(planned().tasks) != set(other.tasks)


@given(st.permutations(sorted(GOLD)))
def test_the_order_of_the_gold_set_does_not_matter(order: list[str]) -> None:
    assert planned({task: GOLD[task] for task in order}) == planned()


@pytest.mark.parametrize(("gold", "size"), [({}, 5), (GOLD, 0)])
def test_a_round_without_tasks_is_refused(gold: dict[str, str], size: int) -> None:
    with pytest.raises(InvalidInput, match="expected at least 1"):
        planned(gold, size=size)


@pytest.mark.parametrize(
    ("field", "build"),
    [
        ("minimum", lambda: CalibrationRules(minimum=1.0)),
        ("class_minimum", lambda: CalibrationRules(class_minimum=0.0)),
        ("confidence", lambda: CalibrationRules(confidence=95.0)),
        ("margin", lambda: CalibrationRules(margin=0.85)),
        ("margin", lambda: CalibrationRules(margin=-0.1)),
        ("size", lambda: CalibrationRules(size=0)),
        ("valid_for", lambda: CalibrationRules(valid_for=timedelta(0))),
    ],
)
def test_rules_outside_their_range_name_the_field(field: str, build: Callable[[], CalibrationRules]) -> None:
    with pytest.raises(InvalidInput, match=field):
        build()


def test_by_default_forty_tasks_pass_from_37_right_and_fail_up_to_29() -> None:
    power = round_power(rules=CalibrationRules(), truth=0.95)

    assert (power.size, power.pass_from, power.fail_up_to) == (40, 37, 29)
    # 1 - scipy.stats.binom.cdf(36, 40, .95)
    assert power.pass_probability == pytest.approx(0.8618, abs=1e-4)


def test_a_round_too_small_to_pass_says_so() -> None:
    power = round_power(rules=CalibrationRules(), truth=1.0, size=10)

    assert (power.pass_from, power.pass_probability) == (None, 0.0)


def test_all_looks_at_a_round_together_spend_no_more_than_the_stated_error() -> None:
    spent = np.cumsum([spent_error(CalibrationRules(), look=look) for look in range(1, 60)])

    assert spent[0] == pytest.approx(0.0375)
    assert spent[-1] == pytest.approx(0.05)
    assert spent[-1] <= 0.05 + 1e-15

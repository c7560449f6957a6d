import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.planning.audit_sample import AuditItem, draw_audit


def lot(n: int, *, people: int = 4, classes: int = 3, seed: int = 0) -> list[AuditItem]:
    chance = random.Random(seed)
    return [
        AuditItem(
            f"t{at:04}", (f"ann-{int(chance.random() ** 2 * people)}",), f"c{int(chance.random() ** 3 * classes)}"
        )
        for at in range(n)
    ]


@settings(max_examples=50)
@given(n=st.integers(1, 300), size=st.integers(1, 400), seed=st.integers(0, 2**40), people=st.integers(1, 12))
def test_no_stratum_is_sampled_more_thinly_than_the_lot(n: int, size: int, seed: int, people: int) -> None:
    items = lot(n, people=people)

    drawn = draw_audit(items, size=size, seed=seed)

    strata = {one.stratum for one in drawn}
    assert min(size, n) <= len(drawn) <= min(size + len(strata), n)
    assert len({one.task_key for one in drawn}) == len(drawn)
    assert all(min(size, n) / n - 1e-9 <= one.inclusion_probability <= 1.0 for one in drawn)
    # Every draw stands for 1 / p labels: together they are the lot.
    assert sum(1.0 / one.inclusion_probability for one in drawn) == pytest.approx(n)


def test_every_annotator_and_every_class_of_each_is_looked_at() -> None:
    items = lot(500)

    drawn = draw_audit(items, size=54, seed=1)

    assert {one.stratum for one in drawn} == {f"annotator={item.annotators[0]} class={item.label}" for item in items}


def test_the_order_of_the_labels_changes_nothing() -> None:
    items = lot(200)
    shuffled = random.Random(1).sample(items, len(items))

    assert draw_audit(items, size=30, seed=5) == draw_audit(shuffled, size=30, seed=5)


def test_another_seed_draws_other_labels_of_the_same_strata() -> None:
    one, two = (draw_audit(lot(400), size=50, seed=seed) for seed in (1, 2))

    assert {item.task_key for item in one} != {item.task_key for item in two}
    assert Counter(item.stratum for item in one) == Counter(item.stratum for item in two)


def test_every_label_is_drawn_as_often_as_its_probability_says() -> None:
    items = lot(60, people=2, classes=2)
    times: Counter[str] = Counter()
    for seed in range(600):
        drawn = draw_audit(items, size=12, seed=seed)
        times.update(one.task_key for one in drawn)
    probability = {one.stratum: one.inclusion_probability for one in drawn}

    for item in items:
        expected = probability[f"annotator={item.annotators[0]} class={item.label}"]
        # Four standard errors of 600 draws.
        assert times[item.task_key] / 600 == pytest.approx(
            expected, abs=4 * (expected * (1 - expected) / 600) ** 0.5 + 1e-9
        )


def test_a_label_of_several_people_is_drawn_for_the_one_with_the_fewest() -> None:
    items = [AuditItem(f"t{at}", ("busy",), "x") for at in range(40)]
    items += [AuditItem(f"u{at}", ("busy", "rare"), "x") for at in range(5)]

    drawn = draw_audit(items, size=8, seed=0)

    assert {one.stratum for one in drawn} == {"annotator=busy class=x", "annotator=rare class=x"}


def test_too_many_people_for_the_size_leave_only_classes_or_one_stratum() -> None:
    items = [AuditItem(f"t{at}", (f"ann-{at}",), "xy"[at % 2]) for at in range(100)]

    assert {one.stratum for one in draw_audit(items, size=10, seed=0)} == {"class=x", "class=y"}
    assert {one.stratum for one in draw_audit(items, size=3, seed=0)} == {"all"}


def test_expected_errors_move_the_draws() -> None:
    items = [AuditItem(f"{name}{at}", (name,), "x") for name in ("good", "poor") for at in range(100)]

    drawn = draw_audit(items, size=40, seed=0, risk={"good": 0.01, "poor": 0.3})

    taken = Counter(one.stratum for one in drawn)
    assert taken["annotator=poor class=x"] > 4 * taken["annotator=good class=x"]


def test_no_labels_mean_no_draw_and_a_large_size_means_all() -> None:
    assert draw_audit([], size=5, seed=0) == ()
    assert [one.inclusion_probability for one in draw_audit(lot(5), size=50, seed=0)] == [1.0] * 5


def test_a_label_twice_a_size_of_nothing_and_an_impossible_risk_are_refused() -> None:
    item = AuditItem("t1", ("a",), "x")

    with pytest.raises(InvalidInput, match="'t1' 2 times"):
        draw_audit([item, item], size=1, seed=0)
    with pytest.raises(InvalidInput, match="size: found 0"):
        draw_audit([item], size=0, seed=0)
    with pytest.raises(InvalidInput, match="risk of 'a': found 2"):
        draw_audit([item], size=1, seed=0, risk={"a": 2.0})

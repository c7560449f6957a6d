"""Which labels a reviewer looks at."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.quality.review import Reviewable, ReviewRules, to_review

HOUR = timedelta(hours=1)


def label(key: str, *, name: str = "cat", agreement: float | None = 1.0, hours: float = 1) -> Reviewable:
    return Reviewable(key, name, agreement, hours * HOUR)


LABELS = [
    label("agreed"),
    label("disputed", agreement=0.66),
    label("rare", name="fox"),
    label("late", hours=50),
    label("single", agreement=None),
]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (ReviewRules(0.0), {}),
        (ReviewRules(0.0, agreement_below=0.67), {"disputed": "disagreement"}),
        (ReviewRules(0.0, agreement_below=0.66), {}),
        (ReviewRules(0.0, classes=("fox",)), {"rare": "class"}),
        (ReviewRules(0.0, answered_after=48 * HOUR), {"late": "age"}),
        (ReviewRules(1.0, agreement_below=0.67), dict.fromkeys([one.task_key for one in LABELS], "random")),
    ],
)
def test_each_rule_names_its_labels(rules: ReviewRules, expected: dict[str, str]) -> None:
    assert to_review(LABELS, rules, draw="a1") == expected


@given(st.integers(0, 300), st.floats(0, 1), st.text())
def test_the_draw_takes_its_share_rounded_up_and_the_same_ones_every_time(n: int, share: float, draw: str) -> None:
    labels = [label(f"t{number}") for number in range(n)]

    drawn = to_review(labels, ReviewRules(share), draw=draw)

    assert len(drawn) == math.ceil(share * n - 1e-9)
    assert to_review(labels[::-1], ReviewRules(share), draw=draw) == drawn


def test_another_batch_draws_others() -> None:
    labels = [label(f"t{number}") for number in range(100)]

    assert to_review(labels, ReviewRules(0.1), draw="a1") != to_review(labels, ReviewRules(0.1), draw="a2")


def test_suspicion_does_not_make_the_draw_smaller() -> None:
    labels = [label(f"t{number}", agreement=0.5 if number < 50 else 1.0) for number in range(100)]

    found = to_review(labels, ReviewRules(0.2, agreement_below=0.67), draw="a1")

    assert sum(why == "random" for why in found.values()) == 20
    assert {key for key, why in found.items() if why == "disagreement"} <= {f"t{number}" for number in range(50)}

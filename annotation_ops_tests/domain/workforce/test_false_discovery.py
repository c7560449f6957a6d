import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.workforce.false_discovery import benjamini_hochberg, e_benjamini_hochberg

PUBLISHED = np.array(
    [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528, 0.759, 1.0]
)
"""Benjamini & Hochberg 1995, section 4.1: at .05 the first four are rejected (Bonferroni rejects three)."""


def test_the_published_example_rejects_its_four_smallest_p_values() -> None:
    assert benjamini_hochberg(PUBLISHED, rate=0.05).tolist() == [True] * 4 + [False] * 11


def test_e_values_are_their_inverse_as_p_values_and_those_below_one_are_no_evidence() -> None:
    assert e_benjamini_hochberg(1.0 / PUBLISHED, rate=0.05).tolist() == [True] * 4 + [False] * 11
    assert e_benjamini_hochberg(np.array([0.0, 0.5, 100.0]), rate=0.05).tolist() == [False, False, True]


def test_without_findings_none_is_accepted() -> None:
    assert benjamini_hochberg(np.array([]), rate=0.05).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_order_of_the_findings_does_not_matter(p_values: list[float]) -> None:
    order = np.argsort(np.array(p_values), kind="stable")[::-1]
    straight = benjamini_hochberg(np.array(p_values), rate=0.1)

    assert benjamini_hochberg(np.array(p_values)[order], rate=0.1).tolist() == straight[order].tolist()

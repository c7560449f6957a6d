from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.monitoring.degradation import Observation, Standing
from annotation_ops.domain.monitoring.slices import Finding, find_fallen, holm
from annotation_ops_tests.domain.monitoring.series import STEADY, history


def find(histories: dict[str, list[Observation]], *, rate: float = 0.01) -> dict[str, Finding]:
    found = find_fallen(histories, baseline_observations=10, false_alarm_rate=rate, min_drop=0.03)
    return {finding.slice: finding for finding in found}


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6))
def test_holm_is_the_closed_test_over_all_subsets(p_values: list[float]) -> None:
    """The definition (Marcus, Peritz and Gabriel 1976): a slice is named when every set of slices that holds it is."""
    named = {f"s:{i}": p for i, p in enumerate(p_values)}

    adjusted = holm(named)

    for name in named:
        others = [other for other in named if other != name]
        sets = [(name, *rest) for size in range(len(others) + 1) for rest in combinations(others, size)]
        assert adjusted[name] == pytest.approx(max(min(1.0, len(s) * min(named[x] for x in s)) for s in sets))


def test_holm_gives_the_figures_of_r() -> None:
    """p.adjust(c(.04, .01, .03, .05, .02), method = "holm") in R."""
    adjusted = holm(dict(zip("abcde", (0.04, 0.01, 0.03, 0.05, 0.02), strict=True)))

    assert [adjusted[name] for name in "abcde"] == pytest.approx([0.09, 0.05, 0.09, 0.09, 0.08])


def test_one_slice_that_fell_is_named_and_the_others_are_not() -> None:
    found = find(
        {
            "": history([*STEADY, 0.88], 600),
            "scanner:a": history([*STEADY, 0.90]),
            "scanner:b": history([*STEADY, 0.72]),
        }
    )

    assert [name for name, finding in found.items() if finding.standing is Standing.FELL] == ["scanner:b"]
    assert next(iter(found)) == "scanner:b"


def test_slices_are_ordered_by_correct_answers_lost_not_by_drop() -> None:
    found = find({"rare:x": history([*STEADY, 0.40], 50), "common:y": history([*STEADY, 0.75], 1000)})

    assert list(found) == ["common:y", "rare:x"]
    assert found["common:y"].lost == pytest.approx(150, abs=5)


def test_the_more_slices_are_looked_at_the_more_one_must_show() -> None:
    fallen = history([*STEADY, 0.83])
    alone = find({"a:1": fallen})["a:1"]

    among = find({"a:1": fallen} | {f"b:{i:02d}": history([*STEADY, 0.90]) for i in range(40)})["a:1"]

    assert alone.standing is Standing.FELL
    assert among.standing is Standing.FINE
    assert alone.p_value is not None
    assert among.p_value == pytest.approx(41 * alone.p_value)


def test_slices_still_learning_do_not_make_the_others_harder_to_find() -> None:
    fallen = history([*STEADY, 0.83])

    found = find({"a:1": fallen} | {f"new:{i:02d}": history([0.9, 0.9]) for i in range(40)})

    assert found["a:1"].standing is Standing.FELL
    assert found["new:00"].reason == "baseline 2 of 10"


def test_a_finding_says_why_in_words() -> None:
    found = find(
        {
            "a:1": history([*STEADY, 0.70]),
            "a:2": history([*STEADY, float("nan")]),
            "a:3": history([*STEADY, 0.89]),
        }
    )

    assert found["a:1"].reason.startswith("fell by 0.200 in this window: p ")
    assert "the measurement is broken" in found["a:2"].reason
    assert found["a:3"].reason.startswith("within noise: p ")


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_a_rate_that_is_no_probability_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="false_alarm_rate"):
        find({"": history(STEADY)}, rate=rate)

from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.selection.quotas import equal_shares

available = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 20), max_size=8)


def test_values_get_equal_shares() -> None:
    assert equal_shares({"a": 9, "b": 9, "c": 9}, total=6) == {"a": 2, "b": 2, "c": 2}


def test_what_one_value_lacks_goes_to_the_others() -> None:
    assert equal_shares({"a": 1, "b": 9, "c": 9}, total=9) == {"a": 1, "b": 4, "c": 4}


def test_a_remainder_goes_to_the_values_that_come_first_bytewise() -> None:
    assert equal_shares({"é": 9, "z": 9, "Z": 9}, total=4) == {"Z": 2, "z": 1, "é": 1}


@given(available, st.integers(0, 100))
def test_shares_use_the_whole_budget_and_never_exceed_the_supply(supply: dict[str, int], total: int) -> None:
    shares = equal_shares(supply, total=total)

    assert sum(shares.values()) == min(total, sum(supply.values()))
    assert all(0 <= shares[value] <= supply[value] for value in supply)


@given(available, st.integers(0, 100))
def test_values_that_still_have_supply_differ_by_one_at_most_and_are_never_behind(
    supply: dict[str, int], total: int
) -> None:
    shares = equal_shares(supply, total=total)

    unfilled = [shares[value] for value in supply if shares[value] < supply[value]]
    if unfilled:
        assert max(unfilled) - min(unfilled) <= 1
        assert max(shares.values()) <= min(unfilled) + 1

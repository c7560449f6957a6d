import pytest

from annotation_ops.adapters.reports.words import (
    agreement_step,
    because,
    chance,
    count,
    in_words,
    percent,
    plain,
    share_step,
    title,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0.0, "0%"), (0.0004, "<1%"), (0.126, "13%"), (0.996, ">99%"), (1.0, "100%")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(value: float | None, shown: str) -> None:
    assert percent(value) == shown


def test_more_digits_round_to_all_or_nothing_later() -> None:
    assert (percent(0.9996, 1), percent(0.0004, 1), percent(0.996, 1)) == (">99.9%", "<0.1%", "99.6%")


def test_a_name_nobody_listed_is_read_as_a_sentence() -> None:
    assert title("new_statistic_of_tomorrow") == "New statistic of tomorrow"
    assert because("reason_of_tomorrow") == "reason of tomorrow"


def test_only_our_own_codes_lose_their_underscores() -> None:
    assert plain("chi_square") == "chi square"
    assert plain("Annotator_7 wrote a_b") == "Annotator_7 wrote a_b"


def test_thousands_are_set_apart() -> None:
    assert count(1234567) == "1\u202f234\u202f567"


def test_the_strongest_colour_is_for_the_least_agreement_and_for_the_largest_share() -> None:
    assert [agreement_step(value) for value in (1.0, 0.95, 0.9499, 0.85, 0.5, 0.49, -0.2, None)] == [
        0,
        0,
        1,
        2,
        5,
        6,
        6,
        0,
    ]
    assert [share_step(value) for value in (0.0, 0.02, 0.1, 0.5, 1.0)] == [0, 1, 3, 6, 6]


def test_the_judge_s_sentences_name_statistics_as_headings_do_and_keep_every_other_word() -> None:
    assert (
        in_words("krippendorff_alpha_nominal 0.7 is below 0.85.") == "Krippendorff's alpha, nominal 0.7 is below 0.85."
    )
    assert in_words("class 'traffic_light' of my_gwet_ac1_copy") == "class 'traffic_light' of my_gwet_ac1_copy"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "below 0.1%"), (0.0009, "below 0.1%"), (0.25, "25.0%"), (1.0, "above 99.9%")]
)
def test_a_probability_made_of_draws_is_never_called_certain(value: float, shown: str) -> None:
    assert chance(value) == shown

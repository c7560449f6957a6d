from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.text_judgements import TextJudgements
from annotation_ops.domain.quality.consensus.fused_texts import fuse_texts


def judged(*texts: str) -> TextJudgements:
    return TextJudgements.from_values(("t", f"a{at}", {"text": text}) for at, text in enumerate(texts))


def test_the_text_closest_to_all_is_chosen_where_no_two_are_equal() -> None:
    (answer,) = fuse_texts(judged("the cat sat", "the bat sat", "a cat sat"))

    assert answer.value == {"text": "the cat sat"}
    assert answer.confidence == pytest.approx(1 / 3)
    assert answer.agreement == pytest.approx((1 + (1 - 2 / 22) + (1 - 6 / 20)) / 3)
    assert not answer.needs_human


def test_two_different_texts_are_a_tie_for_a_person() -> None:
    (answer,) = fuse_texts(judged("yes", "no"))

    assert (answer.value, answer.needs_human, answer.confidence) == (None, True, 0.5)


def test_two_texts_that_differ_in_white_space_only_are_the_same() -> None:
    (answer,) = fuse_texts(judged("so  be it", "so be it "))

    assert (answer.value, answer.needs_human, answer.confidence) == ({"text": "so be it"}, False, 1.0)


def test_one_text_alone_is_taken_over_and_a_person_asked() -> None:
    (answer,) = fuse_texts(judged("alone"))

    assert (answer.value, answer.needs_human, answer.agreement) == ({"text": "alone"}, True, None)


def test_weights_decide_between_two() -> None:
    (answer,) = fuse_texts(judged("yes", "no"), weights={"a0": 1.0, "a1": 3.0})

    assert (answer.value, answer.confidence) == ({"text": "no"}, 0.75)
    with pytest.raises(InvalidInput, match=r"found 0\.0 for annotator 'a1'"):
        fuse_texts(judged("yes", "no"), weights={"a0": 1.0, "a1": 0.0})


def test_no_judgements_have_no_answers() -> None:
    assert fuse_texts(judged()) == ()


@settings(max_examples=150)
@given(st.lists(st.text("abc", max_size=5), min_size=1, max_size=6))
def test_what_more_than_half_wrote_always_wins(texts: list[str]) -> None:
    (answer,) = fuse_texts(judged(*texts))

    text, times = Counter(texts).most_common(1)[0]
    if 2 * times > len(texts):
        assert answer.value == {"text": text}
        assert answer.confidence == pytest.approx(times / len(texts))
    assert answer.value is None or answer.value["text"] in texts

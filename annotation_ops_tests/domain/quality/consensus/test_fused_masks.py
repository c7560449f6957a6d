import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from annotation_ops.domain.quality.agreement.masks import MaskJudgements
from annotation_ops.domain.quality.agreement.runs import majority_runs
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.consensus.fused_masks import fuse_masks
from annotation_ops_tests.domain.quality.shapes import mask, pixels, rows

PEOPLE = ("ann", "bob", "cy", "dee")


def judgements_of(*answers: list) -> MaskJudgements:
    shapes = {("t", name): found for name, found in zip(PEOPLE, answers, strict=False)}
    return MaskJudgements.from_values(rows("masks", shapes), categories=["cat", "dog"])


def fused(*answers: list, **options: object) -> FusedAnswer:
    (found,) = fuse_masks(judgements_of(*answers), **options)
    return found


def images(answer: FusedAnswer) -> list[np.ndarray]:
    assert answer.value is not None
    return [pixels(shape) for shape in answer.value["masks"]]


def rectangle(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    image = np.zeros((8, 9), dtype=np.bool_)
    image[top:bottom, left:right] = True
    return image


def test_a_pixel_is_kept_where_most_drew_it() -> None:
    drawn = [rectangle(0, 0, 6, 6), rectangle(1, 0, 7, 6), rectangle(0, 1, 6, 7)]

    found = fused(*([mask(image)] for image in drawn))

    (image,) = images(found)
    assert np.array_equal(image, np.sum(drawn, axis=0) >= 2)
    assert found.value == {"masks": [mask(image)]}
    ious = [(image & one).sum() / (image | one).sum() for one in drawn]
    assert found.confidence == pytest.approx(np.mean(ious))
    assert found.agreement == pytest.approx(np.mean(ious))
    assert not found.needs_human


def test_two_annotators_keep_what_both_drew() -> None:
    (image,) = images(fused([mask(rectangle(0, 0, 6, 6))], [mask(rectangle(1, 0, 7, 6))]))

    assert np.array_equal(image, rectangle(1, 0, 6, 6))


def test_a_trusted_annotator_outweighs_two() -> None:
    drawn = [rectangle(0, 0, 6, 6), rectangle(1, 0, 7, 6), rectangle(1, 0, 7, 6)]

    found = fused(*([mask(image)] for image in drawn), weights={"ann": 5.0, "bob": 1.0, "cy": 1.0})

    assert np.array_equal(images(found)[0], drawn[0])


def test_objects_stay_apart_and_one_that_few_saw_is_left_out() -> None:
    cat, dog, odd = rectangle(0, 0, 3, 3), rectangle(4, 4, 8, 9), rectangle(0, 6, 2, 8)

    found = fused(
        [mask(cat), mask(dog, "dog")], [mask(dog, "dog"), mask(cat)], [mask(cat), mask(dog, "dog"), mask(odd)]
    )

    assert found.value == {"masks": [mask(cat), mask(dog, "dog")]}
    assert not found.needs_human


def test_a_mask_that_reaches_the_last_pixel_is_written_as_it_was_read() -> None:
    whole = np.ones((3, 3), dtype=np.bool_)

    found = fused([mask(whole)], [mask(whole)])

    assert found.value == {"masks": [{"label": "cat", "size": [3, 3], "counts": [0, 9]}]}


def test_everybody_who_found_nothing_agrees() -> None:
    found = fused([], [])

    assert (found.value, found.confidence, found.needs_human) == ({"masks": []}, 1.0, False)


@given(
    st.lists(arrays.arrays(np.bool_, (4, 5)).filter(np.any), min_size=1, max_size=4),
    st.lists(st.sampled_from([0.1, 0.7, 1.0, 2.0]), min_size=4, max_size=4),
)
def test_the_majority_of_runs_is_that_of_pixels(drawn, weights) -> None:
    judgements = judgements_of(*([mask(image)] for image in drawn))
    n = len(drawn)

    twice = majority_runs(judgements.runs, group=np.arange(n) % 2, weight=np.array(weights[:n]), n_groups=2)

    for group in range(2):
        members = [at for at in range(n) if at % 2 == group]
        covered = sum((weights[at] * drawn[at] for at in members), start=np.zeros((4, 5)))
        expected = covered > sum(weights[at] for at in members) / 2 + 1e-9
        assert np.array_equal(pixels({"size": [4, 5], "counts": twice.counts(group, 20)}), expected)

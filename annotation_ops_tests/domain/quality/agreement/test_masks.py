import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.boxes import agreement_of_boxes
from annotation_ops.domain.quality.agreement.masks import MaskJudgements, agreement_of_masks, mask_overlaps
from annotation_ops_tests.domain.quality.shapes import (
    ANSWERS,
    SHARED,
    Answers,
    boxes_of,
    mask,
    pixels,
    rows,
    value,
    values,
)

# pycocotools 2.0.11, frPyObjects, iou and area of these masks with each other, no crowds.
COCO_COUNTS = [
    [0, 3, 2, 4, 1, 1, 1, 4, 2, 3, 18, 1, 1, 1, 6],
    [0, 1, 6, 5, 1, 4, 2, 1, 1, 2, 2, 4, 8, 1, 3, 1, 6],
    [14, 2, 3, 1, 1, 2, 3, 2, 4, 3, 8, 1, 4],
    [17, 5, 2, 3, 3, 3, 3, 3, 7, 1, 1],
]
COCO_IOU = [
    [1.0, 0.333333333333, 0.12, 0.103448275862],
    [0.333333333333, 1.0, 0.304347826087, 0.172413793103],
    [0.12, 0.304347826087, 1.0, 0.181818181818],
    [0.103448275862, 0.172413793103, 0.181818181818, 1.0],
]
COCO_AREA = [17, 19, 11, 15]

PIXELS = arrays.arrays(np.bool_, (5, 6)).filter(np.any)


def masks_of(answers: Answers) -> MaskJudgements:
    return MaskJudgements.from_values(rows("masks", answers), categories=["cat", "dog"])


def both(ann: list, bob: list) -> MaskJudgements:
    return masks_of({("t", "ann"): ann, ("t", "bob"): bob})


def painted(shape: dict) -> dict:
    """A box of whole numbers as a mask of 12 x 12 pixels."""
    image = np.zeros((12, 12), dtype=np.bool_)
    image[shape["y_min"] : shape["y_max"], shape["x_min"] : shape["x_max"]] = True
    return mask(image, shape["label"])


def run_lengths(counts: list[int]) -> dict:
    return {"label": "cat", "size": [6, 8], "counts": counts}


def test_iou_and_area_of_masks_are_those_of_pycocotools() -> None:
    for at, first in enumerate(COCO_COUNTS):
        for other, second in enumerate(COCO_COUNTS):
            judgements = both([run_lengths(first)], [run_lengths(second)])

            assert mask_overlaps(judgements).iou.tolist() == pytest.approx([COCO_IOU[at][other]], abs=1e-12)
            assert judgements.runs.areas().tolist() == [COCO_AREA[at], COCO_AREA[other]]


@given(st.lists(PIXELS, min_size=1, max_size=4), st.lists(PIXELS, min_size=1, max_size=4))
def test_iou_on_runs_is_iou_on_pixels(ann, bob) -> None:
    judgements = both([mask(image) for image in ann], [mask(image) for image in bob])

    overlaps = mask_overlaps(judgements)

    images = [
        pixels({"size": [5, 6], "counts": judgements.runs.counts(at, 30)}) for at in range(len(judgements.shape_answer))
    ]
    found = dict(zip(zip(overlaps.left.tolist(), overlaps.right.tolist(), strict=True), overlaps.iou, strict=True))
    assert sorted(map(np.ndarray.tobytes, images[: len(ann)])) == sorted(map(np.ndarray.tobytes, ann))
    for left in range(len(ann)):
        for right in range(len(ann), len(images)):
            one, other = images[left], images[right]
            assert found.get((left, right), 0.0) == pytest.approx((one & other).sum() / (one | other).sum(), abs=1e-12)


@given(ANSWERS)
@settings(max_examples=60)
def test_boxes_as_masks_have_the_agreement_of_the_boxes(answers) -> None:
    expected = values(agreement_of_boxes(boxes_of(answers), seed=1, draws=5))
    judgements = masks_of({key: [*map(painted, shapes)] for key, shapes in answers.items()})

    found = values(agreement_of_masks(judgements, seed=1, draws=5))

    assert set(found) == {*SHARED, "mean_dice", "panoptic_quality"}
    assert {name: found[name] for name in SHARED} == {
        name: pytest.approx(of, abs=1e-9) for name, of in expected.items()
    }


def test_dice_follows_from_iou_and_counts_a_mask_without_partner_as_nothing() -> None:
    image = np.zeros((4, 4), dtype=np.bool_)
    image[:2] = True
    half = image.copy()
    half[1] = False

    report = agreement_of_masks(both([mask(image), mask(~image)], [mask(half)]), seed=1, draws=10)

    assert value(report, "mean_iou_penalised") == 0.25
    assert value(report, "mean_dice") == pytest.approx((2 * 4 / (8 + 4)) / 2, abs=1e-9)
    assert value(report, "panoptic_quality") == pytest.approx(0.5 / (1 + 0.5), abs=1e-9)


def test_an_image_of_billions_of_pixels_is_never_decoded() -> None:
    side = 200_000
    top = {"label": "cat", "size": [side, side], "counts": [0, side * side // 2, side * side // 2]}
    all_of_it = {"label": "cat", "size": [side, side], "counts": [0, side * side]}

    report = agreement_of_masks(both([top], [all_of_it]), seed=1, draws=10)

    assert value(report, "mean_iou_matched") == 0.5


def test_runs_of_no_length_are_no_pixels_and_do_not_part_a_mask() -> None:
    plain, odd = [4, 8, 36], [4, 3, 0, 5, 30, 0, 6]

    judgements = both([run_lengths(plain)], [run_lengths(odd)])

    assert judgements.runs.offset.tolist() == [0, 1, 2]
    assert mask_overlaps(judgements).iou.tolist() == [1.0]


BAD_MASKS = {
    "counts that sum to less": (run_lengths([4, 8]), "sum to 12"),
    "counts that sum to more": (run_lengths([4, 45]), "sum to 49"),
    "a negative count": (run_lengths([-1, 49]), "counts"),
    "counts with a fraction": (run_lengths([4.5, 43.5]), "counts"),
    "compressed counts": (run_lengths("PP`1"), "uncompressed|compressed"),
    "no counts": ({"label": "cat", "size": [6, 8]}, "counts None"),
    "no foreground": (run_lengths([48]), "without foreground"),
    "foreground of no length": (run_lengths([48, 0]), "without foreground"),
    "no size": ({"label": "cat", "counts": [4, 44]}, "size None"),
    "a flat size": ({"label": "cat", "size": [0, 8], "counts": [0]}, "size"),
    "a size of three": ({"label": "cat", "size": [6, 8, 1], "counts": [4, 44]}, "size"),
    "too large to compare": ({"label": "cat", "size": [2**20, 2**20], "counts": [0, 2**40]}, "at most"),
    "an unknown label": ({**run_lengths([4, 44]), "label": "cow"}, "label 'cow'"),
    "another size than the task's": ({"label": "cat", "size": [8, 6], "counts": [4, 44]}, "size .*expected"),
}


@pytest.mark.parametrize(("wrong", "said"), BAD_MASKS.values(), ids=BAD_MASKS)
def test_a_mask_that_is_not_usable_is_refused_with_its_row(wrong, said) -> None:
    with pytest.raises(InvalidInput, match=f"row 2: .*({said})"):
        both([run_lengths([4, 44])], [run_lengths([4, 44]), wrong])


def test_two_tasks_may_differ_in_size() -> None:
    judgements = masks_of(
        {("t", "ann"): [run_lengths([4, 44])], ("u", "ann"): [{**run_lengths([4, 44]), "size": [8, 6]}]}
    )

    assert judgements.sizes.tolist() == [[6, 8], [8, 6]]


COUNTS = [[4, 44], None, [0, 1, 47]]


@pytest.mark.parametrize("form", [lambda of: of, pa.array, lambda of: [json.dumps(one) if one else None for one in of]])
def test_a_file_and_its_values_are_the_same_judgements(form) -> None:
    columns = {
        "label": ["cat", None, "dog"],
        "height": pa.array([6, None, 6]),
        "width": [8, None, 8],
        "counts": form(COUNTS),
    }

    found = MaskJudgements.from_columns(["t", "t", "u"], ["ann", "bob", "ann"], columns, categories=["cat", "dog"])

    expected = masks_of(
        {
            ("t", "ann"): [run_lengths([4, 44])],
            ("t", "bob"): [],
            ("u", "ann"): [{**run_lengths([0, 1, 47]), "label": "dog"}],
        }
    )
    for name in ("answer_task", "answer_annotator", "shape_answer", "label_index", "sizes"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()
    for name in ("start", "end", "offset"):
        assert getattr(found.runs, name).tolist() == getattr(expected.runs, name).tolist()


@pytest.mark.parametrize(
    ("second", "who", "said"),
    [
        ({"counts": "[4, 44"}, "bob", "row 2: found counts"),
        ({"counts": [4, 43]}, "bob", "row 2: found counts that sum to 47"),
        ({"height": None}, "bob", "row 2: found size"),
        ({"counts": None}, "ann", "row 2: found a second answer"),
        ({}, "ann", "row 2: found a second answer"),
    ],
)
def test_a_row_of_a_file_that_is_not_usable_is_refused_with_its_number(second, who, said) -> None:
    cells = {"label": "cat", "height": 6, "width": 8, "counts": [4, 44]}
    columns = {name: [cell, {**cells, **second}[name]] for name, cell in cells.items()}

    with pytest.raises(InvalidInput, match=said):
        MaskJudgements.from_columns(["t", "t"], ["ann", who], columns, categories=["cat"])

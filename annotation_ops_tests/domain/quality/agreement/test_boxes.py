import json

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.boxes import BoxJudgements, agreement_of_boxes
from annotation_ops.domain.quality.agreement.shape_overlaps import box_iou, grouped_box_iou
from annotation_ops_tests.domain.quality.shapes import (
    ANSWERS,
    BOXES,
    CORNERS,
    SHARED,
    box,
    boxes_of,
    rows,
    value,
    values,
)

# pycocotools 2.0.11, mask.iou of these boxes with each other, no crowds.
COCO_BOXES = [(0, 0, 10, 10), (6, 0, 16, 10), (2.5, 1.25, 7.75, 9.5), (-4, -3, 3.5, 6.25), (8, 8, 30, 21)]
COCO_IOU = [
    [1.0, 0.25, 0.433125, 0.1483050847457627, 0.010471204188481676],
    [0.25, 1.0, 0.11202715809893307, 0.0, 0.043243243243243246],
    [0.433125, 0.11202715809893307, 1.0, 0.046430644225188625, 0.0],
    [0.1483050847457627, 0.0, 0.046430644225188625, 1.0, 0.0],
    [0.010471204188481676, 0.043243243243243246, 0.0, 0.0, 1.0],
]


def both(ann: list, bob: list):
    return boxes_of({("t", "ann"): ann, ("t", "bob"): bob})


def test_boxes_are_matched_for_the_largest_total_and_not_greedily() -> None:
    ann = [box((0, 0, 10, 10)), box((6, 0, 16, 10))]
    bob = [box((3, 0, 13, 10)), box((-6, 0, 4, 10))]

    report = agreement_of_boxes(both(ann, bob), seed=1, draws=10)

    assert value(report, "mean_iou_matched") * 2 == pytest.approx(0.7885, abs=6e-5)
    assert value(report, "mean_iou_penalised") == pytest.approx(0.7885 / 2, abs=6e-5)
    assert value(report, "f1_at_50") == 0.5


def test_a_box_without_partner_lowers_all_but_the_mean_over_matches() -> None:
    report = agreement_of_boxes(both([box((0, 0, 4, 4)), box((5, 5, 9, 9))], [box((0, 0, 4, 4))]), seed=1, draws=10)

    assert value(report, "mean_iou_matched") == 1.0
    assert value(report, "mean_iou_penalised") == 0.5
    assert value(report, "f1_at_50") == pytest.approx(2 / 3)
    assert value(report, "f1_averaged") == pytest.approx(2 / 3)


def test_f1_falls_with_the_threshold_and_includes_the_threshold_itself() -> None:
    report = agreement_of_boxes(both([box((0, 0, 4, 4))], [box((0, 0, 4, 3))]), seed=1, draws=10)

    assert value(report, "mean_iou_matched") == 0.75
    assert value(report, "f1_at_75") == 1.0
    assert value(report, "f1_averaged") == pytest.approx(0.6)


def test_each_threshold_has_a_matching_of_its_own() -> None:
    # 0.91 + 0.31 is the largest total; with IoU >= 0.5 only, 0.5 + 0.5 beats 0.91 alone.
    ann = [box((0, 0, 20, 10)), box((0, 0, 22, 5))]
    bob = [box((0, 0, 22, 10)), box((0, 0, 10, 10))]

    report = agreement_of_boxes(both(ann, bob), seed=1, draws=10)

    assert value(report, "mean_iou_matched") == pytest.approx((200 / 220 + 50 / 160) / 2)
    assert value(report, "f1_at_50") == 1.0


def test_a_different_label_is_no_match_but_counts_in_label_agreement() -> None:
    ann = [box((0, 0, 4, 4), "cat"), box((8, 8, 12, 12), "dog")]
    bob = [box((0, 0, 4, 4), "cat"), box((8, 8, 12, 12), "cat")]

    report = agreement_of_boxes(both(ann, bob), seed=1, draws=10)

    assert value(report, "label_agreement_on_matches") == 0.5
    assert value(report, "f1_at_50") == 0.5
    assert [(item.label, item.agreement.value) for item in report.classes] == [
        ("cat", pytest.approx(2 / 3)),
        ("dog", 0.0),
    ]


def test_two_labels_on_one_place_are_matched_to_their_likes() -> None:
    place = (0, 0, 4, 4)

    report = agreement_of_boxes(
        both([box(place, "dog"), box(place, "cat")], [box(place, "cat"), box(place, "dog")]), seed=1, draws=10
    )

    assert value(report, "label_agreement_on_matches") == 1.0


def test_two_empty_answers_agree_and_are_reported_by_themselves() -> None:
    judgements = boxes_of({("t", "ann"): [], ("t", "bob"): [], ("u", "ann"): [box((0, 0, 1, 1))], ("u", "bob"): []})

    report = agreement_of_boxes(judgements, seed=1, draws=10)

    assert value(report, "mean_iou_penalised") == value(report, "f1_at_50") == value(report, "both_empty_share") == 0.5
    assert report.statistics["mean_iou_matched"].reason == "no_matches"
    assert report.task_agreement.tolist() == [1.0, 0.0]


def test_three_annotators_are_a_mean_over_pairs_then_over_tasks() -> None:
    one, far = [box((0, 0, 4, 4))], [box((50, 50, 54, 54))]
    judgements = boxes_of(
        {
            ("t", "ann"): one,
            ("t", "bob"): one,
            ("t", "cy"): far,
            ("u", "ann"): one,
            ("u", "bob"): one,
            ("v", "ann"): one,
        }
    )

    report = agreement_of_boxes(judgements, seed=1, draws=10)

    assert value(report, "mean_iou_penalised") == pytest.approx((1 / 3 + 1) / 2, abs=1e-9)
    assert report.task_agreement[:2].tolist() == pytest.approx([1 / 3, 1.0], abs=1e-9)
    assert np.isnan(report.task_agreement[2])
    assert (report.n_tasks, report.n_overlap_tasks, report.n_annotators, report.n_judgements) == (3, 2, 3, 6)
    assert {item.annotator_id: item.agreement.value for item in report.annotators} == {
        "ann": pytest.approx(0.75),
        "bob": pytest.approx(0.75),
        "cy": 0.0,
    }
    assert {item.annotators: item.statistics["mean_iou_penalised"].value for item in report.pairs} == {
        ("ann", "bob"): 1.0,
        ("ann", "cy"): 0.0,
        ("bob", "cy"): 0.0,
    }


def test_intervals_hold_the_value_and_are_those_of_the_draws() -> None:
    rng = np.random.default_rng(3)
    answers = {}
    for task in range(40):
        corners = rng.uniform(0, 100, 2)
        for name in ("ann", "bob"):
            low = corners + rng.normal(0, 2, 2)
            answers[f"t{task:02}", name] = [box([*low, *(low + 20)])]

    report = agreement_of_boxes(boxes_of(answers), seed=4)

    found = report.statistics["mean_iou_penalised"]
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.value < found.high < 1
    assert report.probability_at_least("mean_iou_penalised", found.low) == pytest.approx(0.975, abs=0.01)
    assert report.class_probability_at_least("cat", 0.0) == 1.0
    assert report.class_probability_at_least("dog", 0.5) is None


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({}, "no_judgements"),
        ({("t", "ann"): [box((0, 0, 1, 1))]}, "no_overlap"),
        ({("t", "ann"): [], ("u", "bob"): []}, "no_overlap"),
    ],
)
def test_without_overlap_every_statistic_says_why_it_is_missing(answers, reason) -> None:
    report = agreement_of_boxes(boxes_of(answers), seed=1, draws=10)

    assert {statistic.reason for statistic in report.statistics.values()} == {reason}
    assert {statistic.value for statistic in report.statistics.values()} == {None}
    assert dict(report.draws) == {}
    assert tuple(report.statistics)
    assert set(report.statistics) == set(SHARED)


def test_ten_thousand_annotators_are_answered() -> None:
    answers = {(f"t{at // 3}", f"a{at}"): [box((0, 0, 4, 4 + at % 3))] for at in range(10_000)}

    report = agreement_of_boxes(boxes_of(answers), seed=1, draws=20)

    assert report.n_annotators == 10_000
    assert value(report, "mean_iou_penalised") == pytest.approx((4 / 5 + 4 / 6 + 5 / 6) / 3, abs=1e-3)


def test_iou_of_boxes_is_that_of_pycocotools() -> None:
    corners = np.array(COCO_BOXES, dtype=np.float64)
    first, second = np.indices((5, 5)).reshape(2, -1)

    found = box_iou(corners[first], corners[second]).reshape(5, 5)

    assert found == pytest.approx(np.array(COCO_IOU), abs=1e-12)


@given(st.lists(CORNERS, min_size=1, max_size=12), st.integers(0, 12))
def test_overlaps_are_those_shapely_finds(corners, cut) -> None:
    cut = min(cut, len(corners))
    boxes = np.array(corners, dtype=np.float64)
    groups = np.array([[0, cut, cut, len(boxes) - cut], [0, len(boxes), 0, len(boxes)]])

    group, left, right, iou = grouped_box_iou(boxes, groups)

    found = {(int(g), int(a), int(b)): i for g, a, b, i in zip(group, left, right, iou, strict=True)}
    areas = shapely.box(*boxes.T)
    for number, (first, n_first, second, n_second) in enumerate(groups):
        for a in range(first, first + n_first):
            for b in range(second, second + n_second):
                shared = areas[a].intersection(areas[b]).area
                expected = shared / areas[a].union(areas[b]).area
                assert found.get((number, a, b), 0.0) == pytest.approx(expected, abs=1e-9)


def test_answers_of_thousands_of_boxes_are_compared_in_pieces() -> None:
    # 700 x 700 pairs are more than one block holds.
    grid = [(x, y, x + 1.0, y + 1.0) for x in range(0, 70, 2) for y in range(0, 40, 2)]

    report = agreement_of_boxes(both([box(at) for at in grid], [box(at) for at in grid[::-1]]), seed=1, draws=10)

    assert len(grid) == 700
    assert value(report, "mean_iou_penalised") == 1.0


@given(ANSWERS)
@settings(max_examples=60)
def test_every_statistic_of_identical_answers_is_one(answers) -> None:
    copied = {(task, name): shapes for (task, _), shapes in answers.items() for name in ("x", "y")}

    report = agreement_of_boxes(boxes_of(copied), seed=1, draws=5)

    found = {name: of for name, of in values(report).items() if of is not None and name != "both_empty_share"}
    assert set(found.values()) == {1.0}


@given(ANSWERS, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_order_of_rows_and_boxes_and_names_of_annotators_change_nothing(answers, random) -> None:
    report = agreement_of_boxes(boxes_of(answers), seed=1, draws=20)
    renamed = {"ann": "zoe", "bob": "moe", "cy": "abe"}
    shuffled = [((task, renamed[name]), random.sample(shapes, len(shapes))) for (task, name), shapes in answers.items()]
    random.shuffle(shuffled)

    again = agreement_of_boxes(boxes_of(dict(shuffled)), seed=1, draws=20)

    assert json.dumps(again.document()["statistics"]) == json.dumps(report.document()["statistics"])
    assert json.dumps(again.document()["classes"]) == json.dumps(report.document()["classes"])
    assert np.array_equal(again.task_agreement, report.task_agreement, equal_nan=True)
    assert {renamed[item.annotator_id]: item.agreement for item in report.annotators} == {
        item.annotator_id: item.agreement for item in again.annotators
    }


@given(ANSWERS, st.integers(-50, 50), st.integers(-3, 3))
@settings(max_examples=60)
def test_moving_and_scaling_the_images_changes_nothing_and_all_values_are_shares(answers, shift, power) -> None:
    def moved(shape):
        corners = [(shape[name] + shift) * 2.0**power for name in ("x_min", "y_min", "x_max", "y_max")]
        return box(corners, shape["label"])

    report = agreement_of_boxes(boxes_of(answers), seed=1, draws=5)
    again = agreement_of_boxes(
        boxes_of({key: [*map(moved, shapes)] for key, shapes in answers.items()}), seed=1, draws=5
    )

    assert values(again) == values(report)
    assert all(0.0 <= of <= 1.0 for of in values(report).values() if of is not None)


@given(st.lists(BOXES, max_size=5), st.lists(BOXES, max_size=5))
@settings(max_examples=60)
def test_agreement_is_symmetric(ann, bob) -> None:
    assert values(agreement_of_boxes(both(ann, bob), seed=1, draws=5)) == values(
        agreement_of_boxes(both(bob, ann), seed=1, draws=5)
    )


BAD_BOXES = {
    "inverted": (box((4, 0, 1, 2)), "x_min < x_max"),
    "flat": (box((0, 3, 5, 3)), "y_min < y_max"),
    "without area for rounding": (box((0, 0, 1e-200, 1e-200)), "x_min < x_max"),
    "not a number": (box((0, 0, float("nan"), 2)), "finite"),
    "infinite": (box((0, 0, float("inf"), 2)), "finite"),
    "beyond floating point": (box((0, 0, 10**400, 2)), "finite"),
    "text": (box((0, 0, "4", 2)), "x_max '4'"),
    "a truth value": (box((0, 0, True, 2)), "x_max True"),
    "missing": ({"label": "cat", "x_min": 0, "y_min": 0, "x_max": 1}, "y_max None"),
    "of an unknown label": (box((0, 0, 1, 1), "cow"), "label 'cow'"),
    "of a label that is no text": ({**box((0, 0, 1, 1)), "label": 3}, "label 3"),
    "no object": ("cat", "expected"),
}


@pytest.mark.parametrize(("wrong", "said"), BAD_BOXES.values(), ids=BAD_BOXES)
def test_a_box_that_is_not_usable_is_refused_with_its_row(wrong, said) -> None:
    with pytest.raises(InvalidInput, match="row 2: ") as refused:
        boxes_of({("t", "ann"): [box((0, 0, 1, 1))], ("t", "bob"): [box((0, 0, 1, 1)), wrong]})

    assert said in str(refused.value)


@pytest.mark.parametrize("wrong", [{"polygons": []}, {"boxes": None}, {"boxes": {}}, None, []])
def test_a_value_of_another_shape_is_refused(wrong) -> None:
    with pytest.raises(InvalidInput, match="row 1: found the value"):
        BoxJudgements.from_values([("t", "ann", wrong)], categories=["cat"])


def test_one_annotator_twice_on_a_task_is_refused() -> None:
    twice = [*rows("boxes", {("t", "ann"): [], ("t", "bob"): []}), ("t", "ann", {"boxes": [box((0, 0, 1, 1))]})]

    with pytest.raises(InvalidInput, match=r"row 3: found a second answer of annotator 'ann' on task 't' .* row 1"):
        BoxJudgements.from_values(twice, categories=["cat"])


@pytest.mark.parametrize(("ids", "name"), [(("", "ann"), "task_id"), (("t", None), "annotator_id")])
def test_a_missing_id_is_refused(ids, name) -> None:
    with pytest.raises(InvalidInput, match=f"row 1: found {name}"):
        BoxJudgements.from_values([(*ids, {"boxes": []})], categories=["cat"])


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_a_confidence_that_is_none_is_refused(confidence) -> None:
    with pytest.raises(InvalidInput, match="confidence"):
        agreement_of_boxes(boxes_of({}), confidence=confidence, seed=1)


FILE = {
    "label": ["cat", None, "dog", "cat"],
    "x_min": [0.0, None, 3.0, 0.0],
    "y_min": [0.0, None, 3.0, 0.0],
    "x_max": [2.0, None, 5.0, 2.0],
    "y_max": [2.0, None, 5.0, 1.0],
}
WHO = ["t", "u", "t", "t"], ["ann", "ann", "ann", "bob"]


@pytest.mark.parametrize(
    "as_column", [list, lambda of: np.array(of, dtype=object), pa.array, lambda of: pa.chunked_array([of])]
)
def test_a_file_and_its_values_are_the_same_judgements(as_column) -> None:
    columns = {name: as_column(of) for name, of in FILE.items()}

    found = BoxJudgements.from_columns(as_column(WHO[0]), as_column(WHO[1]), columns, categories=["cat", "dog"])

    expected = boxes_of(
        {
            ("u", "ann"): [],
            ("t", "bob"): [box((0, 0, 2, 1))],
            ("t", "ann"): [box((3, 3, 5, 5), "dog"), box((0, 0, 2, 2))],
        }
    )
    assert (found.tasks, found.annotators, found.n_judgements) == (expected.tasks, expected.annotators, 3)
    for name in ("answer_task", "answer_annotator", "shape_answer", "label_index", "corners"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()


def file_with(row: int, **cells: object) -> BoxJudgements:
    columns = {name: list(of) for name, of in FILE.items()}
    for name, cell in cells.items():
        columns[name][row - 1] = cell
    return BoxJudgements.from_columns(*WHO, columns, categories=["cat", "dog"])


@pytest.mark.parametrize(
    ("row", "cells", "said"),
    [
        (3, {"x_max": None}, "finite"),
        (3, {"x_max": 3.0}, "x_min < x_max"),
        (3, {"x_max": "five"}, "x_max 'five'"),
        (4, {"label": None}, "no label"),
        (4, {"label": "cow"}, "'cow'"),
        (4, {"y_max": float("inf")}, "finite"),
    ],
)
def test_a_row_of_a_file_that_is_not_usable_is_refused_with_its_number(row, cells, said) -> None:
    with pytest.raises(InvalidInput, match=f"row {row}: .*{said}"):
        file_with(row, **cells)


def test_found_none_beside_a_box_of_the_same_answer_is_refused() -> None:
    with pytest.raises(InvalidInput, match="row 3: found a second answer of annotator 'ann' on task 't'"):
        file_with(3, x_min=None, y_min=None, x_max=None, y_max=None)


def test_an_answer_whose_every_box_is_there_twice_is_refused() -> None:
    twice = {name: [*of, of[2], of[0]] for name, of in FILE.items()}
    who = [*WHO[0], "t", "t"], [*WHO[1], "ann", "ann"]

    with pytest.raises(InvalidInput, match=r"row 6: found a second answer of annotator 'ann' .* row 1"):
        BoxJudgements.from_columns(*who, twice, categories=["cat", "dog"])


def test_one_repeated_box_among_others_is_kept() -> None:
    more = {name: [*of, of[0]] for name, of in FILE.items()}

    found = BoxJudgements.from_columns([*WHO[0], "t"], [*WHO[1], "ann"], more, categories=["cat", "dog"])

    assert found.shapes_per_answer().tolist() == [3, 1, 0]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InvalidInput, match="'y_max'"):
        BoxJudgements.from_columns(*WHO, {name: FILE[name] for name in list(FILE)[:-1]}, categories=["cat", "dog"])

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.boxes import BoxJudgements
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.consensus.fused_boxes import fuse_boxes, weighted_medians
from annotation_ops_tests.domain.quality.shapes import ANSWERS, box, boxes_of, rows

PEOPLE = ("ann", "bob", "cy", "dee", "eve")


def fused(*answers: list, **options: object) -> FusedAnswer:
    """Of one task, annotators in the order of PEOPLE."""
    (found,) = fuse_boxes(
        boxes_of({("t", name): shapes for name, shapes in zip(PEOPLE, answers, strict=False)}), **options
    )
    return found


def boxes(answer: FusedAnswer) -> list[dict]:
    assert answer.value is not None
    return answer.value["boxes"]


def test_each_side_of_a_box_is_the_median_of_its_annotators() -> None:
    found = fused([box((0, 0, 10, 10))], [box((1, 0, 11, 10))], [box((2, 1, 10, 12))])

    assert boxes(found) == [box((1.0, 0.0, 10.0, 10.0))]


def test_two_annotators_meet_halfway() -> None:
    found = fused([box((0, 0, 10, 10))], [box((2, 0, 10, 12))])

    assert boxes(found) == [box((1.0, 0.0, 10.0, 11.0))]
    assert not found.needs_human


def test_confidence_is_support_times_iou_with_the_fused_box() -> None:
    found = fused([box((0, 0, 10, 10))], [box((0, 0, 10, 10))], [box((0, 0, 10, 5))], [])

    assert boxes(found) == [box((0.0, 0.0, 10.0, 10.0))]
    assert found.confidence == pytest.approx(3 / 4 * (1 + 1 + 0.5) / 3)
    assert found.agreement == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    assert found.n_annotators == 4


def test_what_most_did_not_see_is_left_out_and_weakens_confidence() -> None:
    found = fused([box((0, 0, 4, 4)), box((8, 8, 9, 9))], [box((0, 0, 4, 4))], [box((0, 0, 4, 4))])

    assert boxes(found) == [box((0.0, 0.0, 4.0, 4.0))]
    assert found.confidence == pytest.approx((1 + 2 / 3) / 2)
    assert found.agreement == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert not found.needs_human


def test_an_object_seen_by_exactly_half_goes_to_a_human() -> None:
    found = fused([box((0, 0, 4, 4))], [])

    assert boxes(found) == []
    assert found.needs_human


def test_one_annotator_alone_goes_to_a_human_with_what_was_drawn() -> None:
    found = fused([box((0, 0, 4, 4))])

    assert boxes(found) == [box((0.0, 0.0, 4.0, 4.0))]
    assert (found.needs_human, found.agreement, found.n_annotators) == (True, None, 1)


def test_all_who_found_nothing_agree_that_there_is_nothing() -> None:
    found = fused([], [], [])

    assert boxes(found) == []
    assert (found.confidence, found.agreement, found.needs_human) == (1.0, 1.0, False)


def test_a_place_whose_class_nobody_shares_goes_to_a_human() -> None:
    place = (0, 0, 4, 4)
    names = [box(place, "cat"), box(place, "dog"), box(place, "cow")]
    judgements = BoxJudgements.from_values(
        rows("boxes", {("t", name): [one] for name, one in zip(PEOPLE, names, strict=False)}),
        categories=["cat", "dog", "cow"],
    )

    (found,) = fuse_boxes(judgements)

    assert boxes(found) == []
    assert found.needs_human


def test_the_class_most_gave_wins_without_a_human() -> None:
    place = (0, 0, 4, 4)

    found = fused([box(place, "dog")], [box(place, "cat")], [box(place, "dog")])

    assert boxes(found) == [box((0.0, 0.0, 4.0, 4.0), "dog")]
    assert not found.needs_human


def test_weights_decide_support_and_move_the_median() -> None:
    answers = [box((0, 0, 10, 10))], [box((2, 0, 12, 10))], []
    weights = {"ann": 3.0, "bob": 1.0, "cy": 3.0}

    assert boxes(fused(*answers, weights=weights)) == [box((0.0, 0.0, 10.0, 10.0))]
    assert boxes(fused(*answers, weights={**weights, "cy": 5.0})) == []


def test_a_box_too_far_from_the_others_is_an_object_of_its_own() -> None:
    found = fused([box((0, 0, 10, 10))], [box((0, 0, 10, 10))], [box((0, 6, 10, 16))])

    assert boxes(found) == [box((0.0, 0.0, 10.0, 10.0))]
    assert found.confidence == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_two_objects_side_by_side_are_not_mixed_up() -> None:
    # Each annotator's shift is half a box: a greedy choice of the first partner would cross over.
    shifts = [0.0, 1.0, -1.0]

    found = fused(*([box((0 + s, 0, 10 + s, 10)), box((4 + s, 0, 14 + s, 10))] for s in shifts), iou=0.6)

    assert boxes(found) == [box((0.0, 0.0, 10.0, 10.0)), box((4.0, 0.0, 14.0, 10.0))]


def test_a_chain_of_overlaps_does_not_join_its_far_ends() -> None:
    # Each box matches the next at 0.6, the next but one at 0.33, the ends not at all.
    found = fused(*([box((0, step, 10, step + 10))] for step in (0, 2.5, 5, 7.5, 10)), min_share=0.0)

    assert 2 <= len(boxes(found)) <= 3


def test_nobody_is_twice_in_one_object() -> None:
    # Both of ann's boxes match bob's or cy's, and these match each other.
    found = fused(
        [box((0, 0, 10, 10)), box((3, 0, 13, 10))],
        [box((0.5, 0, 10.5, 10))],
        [box((2, 0, 12, 10))],
        min_share=0.0,
    )

    assert len(boxes(found)) == 2


def test_answers_come_in_the_order_of_tasks_with_every_task_once() -> None:
    judgements = boxes_of({("b", "ann"): [], ("a", "bob"): [box((0, 0, 1, 1))], ("b", "bob"): []})

    found = fuse_boxes(judgements)

    assert [(one.task_id, one.n_annotators) for one in found] == [("a", 1), ("b", 2)]


def test_no_judgements_are_no_answers() -> None:
    assert fuse_boxes(boxes_of({})) == ()


@given(ANSWERS, st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_the_fused_answer_is_a_valid_judgement_whatever_the_order_of_rows(answers, random) -> None:
    shuffled = [(key, random.sample(shapes, len(shapes))) for key, shapes in answers.items()]
    random.shuffle(shuffled)

    found = fuse_boxes(boxes_of(answers))

    again = BoxJudgements.from_values([(one.task_id, "gold", one.value) for one in found], categories=["cat", "dog"])
    assert again.n_judgements == len(found)
    assert all(0.0 <= one.confidence <= 1.0 for one in found)
    assert all(one.agreement is None or 0.0 <= one.agreement <= 1.0 for one in found)
    assert json.dumps([one.document() for one in fuse_boxes(boxes_of(dict(shuffled)))]) == json.dumps(
        [one.document() for one in found]
    )


def as_floats(shape: dict) -> dict:
    return {name: float(of) if name != "label" else of for name, of in shape.items()}


@given(ANSWERS)
@settings(max_examples=60)
def test_copies_of_one_answer_are_fused_into_itself(answers) -> None:
    one_each = {(task, ""): shapes for (task, _), shapes in answers.items()}
    copied = {(task, name): shapes for (task, _), shapes in one_each.items() for name in PEOPLE[:3]}

    for found in fuse_boxes(boxes_of(copied)):
        assert sorted(map(str, boxes(found))) == sorted(map(str, map(as_floats, one_each[found.task_id, ""])))
        assert (found.confidence, found.agreement, found.needs_human) == (1.0, 1.0, False)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.sampled_from([1.0, 2.0, 0.5])), min_size=4, max_size=30)
)
def test_a_weighted_median_has_no_more_than_half_of_the_weight_on_either_side(found) -> None:
    found = [*found, *((group, 5, 1.0) for group in range(4))]
    group, values, weight = (np.array(column) for column in zip(*found, strict=True))

    medians = weighted_medians(values.astype(float), weight.astype(float), group, n_groups=4)

    for at in range(4):
        mine, total = group == at, weight[group == at].sum()
        assert weight[mine & (values < medians[at])].sum() <= total / 2
        assert weight[mine & (values > medians[at])].sum() <= total / 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weights": {"ann": 1.0}}, "'bob'"),
        ({"weights": {"ann": 1.0, "bob": 0.0}}, "found 0.0 for annotator 'bob'"),
        ({"weights": {"ann": 1.0, "bob": math.nan}}, "'bob'"),
        ({"weights": {"ann": math.inf, "bob": 1.0}}, "'ann'"),
        ({"min_share": 1.0}, "min_share"),
        ({"min_share": -0.1}, "min_share"),
        ({"iou": 0.0}, "iou"),
        ({"iou": 1.1}, "iou"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said) -> None:
    with pytest.raises(InvalidInput, match=said):
        fused([box((0, 0, 1, 1))], [], **options)


def test_the_middle_of_noisy_annotators_is_closer_to_the_truth_than_they_are() -> None:
    rng = np.random.default_rng(11)
    truth = {f"t{task:03}": rng.uniform(20, 60, 2) for task in range(150)}
    answers = {}
    for task, low in truth.items():
        for name in PEOPLE:
            wild = 6.0 if name == "eve" else 1.5
            ends = np.concatenate([low, low + 30]) + rng.normal(0, wild, 4)
            answers[task, name] = [box(ends.tolist())]

    found = fuse_boxes(boxes_of(answers))

    def error(shape: dict, task: str) -> float:
        low = truth[task]
        ends = np.array([shape[name] for name in ("x_min", "y_min", "x_max", "y_max")])
        return float(np.abs(ends - np.concatenate([low, low + 30])).mean())

    ours = np.mean([error(boxes(one)[0], one.task_id) for one in found])
    best = min(np.mean([error(answers[task, name][0], task) for task in truth]) for name in PEOPLE)
    assert ours < 0.8 * best

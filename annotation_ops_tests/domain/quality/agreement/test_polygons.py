import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.boxes import agreement_of_boxes
from annotation_ops.domain.quality.agreement.polygons import PolygonJudgements, agreement_of_polygons, polygon_iou
from annotation_ops_tests.domain.quality.shapes import (
    ANSWERS,
    SHARED,
    Answers,
    boxes_of,
    outline,
    polygon,
    rows,
    value,
    values,
)

CROSSED = [(0, 0), (4, 4), (4, 0), (0, 4)]
"""A bow tie of two triangles, 8 in all."""


def polygons_of(answers: Answers) -> PolygonJudgements:
    return PolygonJudgements.from_values(rows("polygons", answers), categories=["cat", "dog"])


def both(ann: list, bob: list) -> PolygonJudgements:
    return polygons_of({("t", "ann"): ann, ("t", "bob"): bob})


def corners(shape: dict) -> tuple[float, ...]:
    return shape["x_min"], shape["y_min"], shape["x_max"], shape["y_max"]


def as_outlines(answers: Answers) -> Answers:
    return {key: [outline(corners(shape), shape["label"]) for shape in shapes] for key, shapes in answers.items()}


def test_iou_is_that_of_the_exact_areas() -> None:
    triangle, square = polygon([(0, 0), (4, 0), (0, 4)]), outline((0, 0, 4, 4))

    report = agreement_of_polygons(both([triangle], [square]), seed=1, draws=10)

    assert value(report, "mean_iou_matched") == 0.5
    assert value(report, "mean_dice") == pytest.approx(2 / 3)
    assert value(report, "panoptic_quality") == 0.5


def test_polygons_whose_bounding_boxes_overlap_may_still_be_apart() -> None:
    lower, upper = polygon([(0, 0), (4, 0), (0, 4)]), polygon([(4, 4), (4, 0.5), (0.5, 4)])

    report = agreement_of_polygons(both([lower], [upper]), seed=1, draws=10)

    assert value(report, "mean_iou_penalised") == 0.0
    assert report.statistics["mean_iou_matched"].reason == "no_matches"


@given(ANSWERS)
@settings(max_examples=60)
def test_boxes_as_polygons_have_the_agreement_of_the_boxes(answers) -> None:
    expected = values(agreement_of_boxes(boxes_of(answers), seed=1, draws=5))

    found = values(agreement_of_polygons(polygons_of(as_outlines(answers)), seed=1, draws=5))

    assert set(found) == {*SHARED, "mean_dice", "panoptic_quality"}
    assert {name: found[name] for name in SHARED} == {
        name: pytest.approx(of, abs=1e-9) for name, of in expected.items()
    }


def test_a_polygon_and_itself_have_an_iou_of_one() -> None:
    rng = np.random.default_rng(5)
    outlines = []
    for _ in range(40):
        angle = np.sort(rng.uniform(0, 2 * math.pi, 12))
        radius = rng.uniform(0.2, 1, 12) * 1000
        outlines.append(polygon(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).tolist()))
    judgements = both(outlines, outlines)

    assert polygon_iou(judgements.geometries, judgements.geometries).tolist() == [1.0] * 80
    assert value(agreement_of_polygons(judgements, seed=1, draws=5), "mean_iou_penalised") == 1.0


def test_panoptic_quality_is_a_mean_over_classes_and_not_over_polygons() -> None:
    cats = [outline((place, 0, place + 4, 4)) for place in range(0, 80, 8)]
    ann, bob = (
        [*cats, outline((0, 90, 4, 94), "dog")],
        [*cats, outline((0, 90, 4, 93), "dog"), outline((50, 50, 51, 51), "dog")],
    )

    report = agreement_of_polygons(both(ann, bob), seed=1, draws=10)

    assert value(report, "panoptic_quality") == pytest.approx((1.0 + 0.75 / 1.5) / 2, abs=1e-9)


def test_panoptic_quality_without_any_polygon_says_so() -> None:
    report = agreement_of_polygons(both([], []), seed=1, draws=10)

    assert report.statistics["panoptic_quality"].reason == "nothing_annotated"
    assert value(report, "mean_dice") == 1.0


def test_an_outline_that_crosses_itself_is_repaired_and_counted() -> None:
    judgements = both([polygon(CROSSED)], [outline((0, 0, 4, 4))])

    report = agreement_of_polygons(judgements, seed=1, draws=10)

    assert judgements.n_repaired == 1
    assert value(report, "mean_iou_matched") == 0.5


def test_a_spike_without_area_is_repaired_away() -> None:
    spiked = polygon([(0, 0), (4, 0), (9, 0), (4, 0), (4, 4), (0, 4)])

    judgements = both([spiked], [outline((0, 0, 4, 4))])

    assert judgements.n_repaired == 1
    assert value(agreement_of_polygons(judgements, seed=1, draws=10), "mean_iou_matched") == 1.0


def test_a_closing_point_is_not_a_point_of_its_own() -> None:
    square = outline((0, 0, 4, 4))

    judgements = both([square], [polygon([*square["points"], square["points"][0]])])

    assert judgements.n_repaired == 0
    assert value(agreement_of_polygons(judgements, seed=1, draws=10), "mean_iou_matched") == 1.0


BAD_POLYGONS = {
    "of two points": (polygon([(0, 0), (1, 1)]), "2 points"),
    "of two points, closed": (polygon([(0, 0), (1, 1), (0, 0)]), "2 points"),
    "of none": (polygon([]), "0 points"),
    "a line": (polygon([(0, 0), (1, 1), (2, 2)]), "without area"),
    "not a number": (polygon([(0, 0), (1, math.nan), (2, 2)]), "finite"),
    "infinite": (polygon([(0, 0), (1, math.inf), (2, 2)]), "finite"),
    "text": (polygon([(0, 0), (1, "1"), (2, 2)]), "y '1'"),
    "points of three numbers": ({"label": "cat", "points": [[0, 0, 0], [1, 0, 0], [1, 1, 0]]}, r"\[x, y\]"),
    "without points": ({"label": "cat"}, "points None"),
    "of an unknown label": (outline((0, 0, 1, 1), "cow"), "label 'cow'"),
}


@pytest.mark.parametrize(("wrong", "said"), BAD_POLYGONS.values(), ids=BAD_POLYGONS)
def test_a_polygon_that_is_not_usable_is_refused_with_its_row(wrong, said) -> None:
    with pytest.raises(InvalidInput, match=f"row 2: .*{said}"):
        both([outline((0, 0, 1, 1))], [outline((0, 0, 1, 1)), wrong])


SQUARE = [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]]
TRIANGLE = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]


@pytest.mark.parametrize(
    "points",
    [
        [json.dumps(SQUARE), None, json.dumps(TRIANGLE)],
        [SQUARE, None, TRIANGLE],
        pa.array([SQUARE, None, TRIANGLE]),
        pa.array([SQUARE, None, TRIANGLE]).to_numpy(zero_copy_only=False),
    ],
    ids=["json", "lists", "arrow", "numpy"],
)
def test_a_file_and_its_values_are_the_same_judgements(points) -> None:
    columns = {"label": ["cat", None, "dog"], "points": points}

    found = PolygonJudgements.from_columns(["t", "t", "u"], ["ann", "bob", "ann"], columns, categories=["cat", "dog"])

    expected = polygons_of(
        {("t", "ann"): [polygon(SQUARE)], ("t", "bob"): [], ("u", "ann"): [polygon(TRIANGLE, "dog")]}
    )
    for name in ("answer_task", "answer_annotator", "shape_answer", "label_index", "geometries"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()


@pytest.mark.parametrize(
    ("points", "who", "said"),
    [
        ([SQUARE, "[[0, 0]"], "bob", "row 2: found points"),
        ([SQUARE, None], "ann", "row 2: found a second answer"),
        ([SQUARE, json.dumps(SQUARE)], "ann", "row 2: found a second answer"),
    ],
)
def test_a_row_of_a_file_that_is_not_usable_is_refused_with_its_number(points, who, said) -> None:
    with pytest.raises(InvalidInput, match=said):
        PolygonJudgements.from_columns(
            ["t", "t"], ["ann", who], {"label": ["cat", "cat"], "points": points}, categories=["cat"]
        )

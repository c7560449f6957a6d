import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.quality.agreement.polygons import PolygonJudgements
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.consensus.fused_polygons import fuse_polygons, majority_area
from annotation_ops_tests.domain.quality.shapes import CORNERS, outline, polygon, rows

PEOPLE = ("ann", "bob", "cy", "dee")


def fused(*answers: list, **options: object) -> FusedAnswer:
    shapes = {("t", name): found for name, found in zip(PEOPLE, answers, strict=False)}
    (found,) = fuse_polygons(
        PolygonJudgements.from_values(rows("polygons", shapes), categories=["cat", "dog"]), **options
    )
    return found


def areas(answer: FusedAnswer) -> list[shapely.Polygon]:
    assert answer.value is not None
    return [shapely.Polygon(shape["points"]) for shape in answer.value["polygons"]]


def test_the_area_that_most_drew_is_kept() -> None:
    found = fused([outline((0, 0, 10, 10))], [outline((1, 0, 11, 10))], [outline((2, 0, 12, 10))])

    (area,) = areas(found)
    assert area.equals(shapely.box(1, 0, 11, 10))
    assert found.confidence == pytest.approx((9 / 11 + 1 + 9 / 11) / 3)
    assert not found.needs_human


def test_two_annotators_keep_what_both_drew() -> None:
    (area,) = areas(fused([outline((0, 0, 10, 10))], [outline((2, 0, 12, 10))]))

    assert area.equals(shapely.box(2, 0, 10, 10))


def test_copies_of_a_polygon_are_fused_into_it() -> None:
    points = [(0, 0), (5, 1), (9, 0), (7, 6), (2, 8)]

    found = fused([polygon(points, "dog")], [polygon(points, "dog")], [polygon(points[::-1], "dog")])

    (area,) = areas(found)
    assert area.equals(shapely.Polygon(points))
    assert found.confidence == pytest.approx(1.0)
    assert found.value is not None
    assert found.value["polygons"][0]["label"] == "dog"


def test_a_hole_is_filled_because_an_outline_has_none() -> None:
    opens_right = polygon([(0, 0), (10, 0), (10, 4), (4, 4), (4, 6), (10, 6), (10, 10), (0, 10)])
    opens_left = polygon([(0, 0), (10, 0), (10, 10), (0, 10), (0, 6), (6, 6), (6, 4), (0, 4)])

    (area,) = areas(fused([opens_right], [opens_left], [outline((0, 0, 10, 10))]))

    assert area.equals(shapely.box(0, 0, 10, 10))


def test_of_several_parts_the_largest_is_kept() -> None:
    dumbbell = polygon([(0, 0), (4, 0), (4, 1), (6, 1), (6, 0), (9, 0), (9, 4), (6, 4), (6, 2), (4, 2), (4, 4), (0, 4)])
    without_bar = polygon([(0, 0), (4, 0), (4, 4), (3, 4.5), (8, 4.5), (6, 4), (6, 0), (9, 0), (9, 5), (0, 5)])

    (area,) = areas(fused([dumbbell], [without_bar]))

    assert area.equals(shapely.box(0, 0, 4, 4))


def test_an_object_seen_by_exactly_half_goes_to_a_human() -> None:
    found = fused([outline((0, 0, 4, 4))], [])

    assert (found.value, found.needs_human) == ({"polygons": []}, True)


@given(st.lists(CORNERS, min_size=1, max_size=4), st.lists(st.sampled_from([0.7, 1.0, 2.0]), min_size=4, max_size=4))
@settings(max_examples=150)
def test_the_majority_of_areas_is_that_of_every_unit_square(corners, weights) -> None:
    shapes, weight = np.array([shapely.box(*one) for one in corners]), np.array(weights[: len(corners)])

    area = majority_area(shapes, weight)

    for x in range(11):
        for y in range(11):
            covering = sum(w for (a, b, c, d), w in zip(corners, weight, strict=True) if a <= x < c and b <= y < d)
            expected = covering > weight.sum() / 2 + 1e-9
            assert area.contains(shapely.Point(x + 0.5, y + 0.5)) == expected

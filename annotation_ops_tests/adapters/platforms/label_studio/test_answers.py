from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.adapters.platforms.label_studio.answers import result_of, value_of
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import JsonObject

SIZE = (640, 480)
LABEL = st.sampled_from(["cat", "dog", "Straße"])
X = st.integers(0, 638)
Y = st.integers(0, 478)


def there_and_back(value: JsonObject, task_type: str, *, text: str = "") -> JsonObject:
    return value_of(result_of(value, task_type=task_type, size=SIZE, text=text), task_type=task_type, text=text)


@given(label=LABEL)
def test_a_label_comes_back(label: str) -> None:
    assert there_and_back({"label": label}, "classification") == {"label": label}
    assert there_and_back({"label": label}, "ordinal") == {"label": label}


@given(text=st.text())
def test_a_text_comes_back(text: str) -> None:
    assert there_and_back({"text": text}, "text") == {"text": text}


@given(st.lists(st.tuples(LABEL, X, Y, st.integers(1, 200), st.integers(1, 200)), max_size=5))
def test_boxes_come_back_in_pixels(drawn: list[tuple[str, int, int, int, int]]) -> None:
    boxes = [
        {"label": label, "x_min": x, "y_min": y, "x_max": x + width, "y_max": y + height}
        for label, x, y, width, height in drawn
    ]

    assert there_and_back({"boxes": boxes}, "boxes") == {"boxes": boxes}


@given(st.lists(st.tuples(LABEL, st.lists(st.tuples(X, Y), min_size=3, max_size=6)), max_size=4))
def test_polygons_come_back_in_pixels(drawn: list[tuple[str, list[tuple[int, int]]]]) -> None:
    polygons = [{"label": label, "points": [list(point) for point in points]} for label, points in drawn]

    assert there_and_back({"polygons": polygons}, "polygons") == {"polygons": polygons}


@given(st.data())
def test_spans_come_back_in_characters_whatever_the_text(data: st.DataObject) -> None:
    text = data.draw(st.text(st.sampled_from("aß€😀🏽 "), min_size=1, max_size=12))
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    spans = {"spans": [{"label": "cat", "start": start, "end": end}]}

    assert there_and_back(spans, "spans", text=text) == spans


def test_a_span_after_an_emoji_counts_utf16_units_in_label_studio() -> None:
    [entry] = result_of({"spans": [{"label": "cat", "start": 2, "end": 5}]}, task_type="spans", text="😀 cat")

    assert (entry["value"]["start"], entry["value"]["end"], entry["value"]["text"]) == (3, 6, "cat")


def test_looked_and_found_none_is_an_answer() -> None:
    assert value_of([], task_type="boxes") == {"boxes": []}
    assert value_of([], task_type="spans", text="a") == {"spans": []}


BOX = {"x": 1, "y": 1, "width": 5, "height": 5, "rectanglelabels": ["cat"]}
FRAME = {"original_width": 640, "original_height": 480}


def entry(kind: str, value: Any, **more: Any) -> JsonObject:
    return {"from_name": "label", "to_name": "sample", "type": kind, "value": value, **more}


@pytest.mark.parametrize(
    ("task_type", "result", "said"),
    [
        ("classification", [], "found 0 choices"),
        ("classification", [entry("choices", {"choices": ["a", "b"]})], "found 2 choices"),
        ("classification", [entry("choices", {"choices": [7]})], "expected choices"),
        ("classification", [entry("taxonomy", {"choices": ["a"]})], "type 'taxonomy'"),
        ("classification", ["a"], "expected an object"),
        ("classification", [{**entry("choices", {"choices": ["a"]}), "from_name": "other"}], "from 'other'"),
        ("text", [entry("textarea", {"text": ["a", "b"]})], "found 2 texts"),
        ("boxes", [entry("rectanglelabels", BOX)], "original_width None"),
        ("boxes", [entry("rectanglelabels", {**BOX, "rotation": 12}, **FRAME)], "rotated box"),
        ("boxes", [entry("rectanglelabels", {**BOX, "x": "1"}, **FRAME)], "found x '1'"),
        ("boxes", [entry("rectanglelabels", {**BOX, "x": 10**400}, **FRAME)], "401 digits"),
        ("boxes", [entry("rectanglelabels", {**BOX, "rectanglelabels": []}, **FRAME)], "0 labels"),
        ("boxes", [entry("rectanglelabels", BOX, original_width=0, original_height=4)], "0 x 4 pixels"),
        ("boxes", [entry("rectanglelabels", BOX, **FRAME, image_rotation=90)], "rotated picture"),
        ("polygons", [entry("polygonlabels", {"points": [[1]], "polygonlabels": ["cat"]}, **FRAME)], "list of"),
        ("spans", [entry("labels", {"start": 0, "end": 9, "labels": ["cat"]})], "in a text of 3"),
        ("spans", [entry("labels", {"start": -1, "end": 2, "labels": ["cat"]})], "from -1"),
        ("spans", [entry("labels", {"start": float("nan"), "end": 2, "labels": ["cat"]})], "nan"),
    ],
)
def test_an_answer_of_another_shape_is_refused_with_what_it_is(task_type: str, result: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        value_of(result, task_type=task_type, text="abc")

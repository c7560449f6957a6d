"""Answers: Label Studio's `result` lists to values of the contract, and back.

Coordinates are percent of the picture there and pixels here; offsets of spans count UTF-16 units there and characters here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from annotation_ops.adapters.platforms.label_studio.label_config import CONTROL, OBJECT
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.report import CATEGORICAL
from annotation_ops.domain.records import JsonObject

PRECISION = 6
"""Decimals of a pixel that survive the way through percent."""


def value_of(result: Sequence[Mapping[str, Any]], *, task_type: str, text: str = "") -> JsonObject:
    """The value of an answer: {"label"}, {"boxes"}, {"polygons"}, {"spans"} or {"text"}, as docs/interface.md has them.

    `text` is the text that spans point into. Raises InvalidInput saying what the answer is instead.
    """
    items = [_item(entry) for entry in result]
    if task_type in CATEGORICAL:
        chosen = [choice for kind, value in items for choice in _listed(kind, value, "choices")]
        if len(chosen) != 1:
            raise InvalidInput(f"found {len(chosen)} choices, expected one")
        return {"label": chosen[0]}
    if task_type == "text":
        written = [line for kind, value in items for line in _listed(kind, value, "textarea", "text")]
        if len(written) != 1:
            raise InvalidInput(f"found {len(written)} texts, expected one")
        return {"text": written[0]}
    read: Callable[[Mapping[str, Any], Mapping[str, Any]], JsonObject]
    kind, read = {
        "boxes": ("rectanglelabels", _box),
        "polygons": ("polygonlabels", _polygon),
        "spans": ("labels", lambda value, _: _span(value, text)),
    }[task_type]
    return {
        task_type: [
            {"label": _one_label(found, value, kind), **read(value, entry)}
            for (found, value), entry in zip(items, result, strict=True)
        ]
    }


def result_of(
    value: JsonObject, *, task_type: str, size: tuple[int, int] | None = None, text: str = ""
) -> list[JsonObject]:
    """The `result` list that Label Studio stores for a value; `size` is (width, height) of the picture in pixels."""
    if task_type in CATEGORICAL:
        return [_entry("choices", {"choices": [value["label"]]})]
    if task_type == "text":
        return [_entry("textarea", {"text": [value["text"]]})]
    if task_type == "spans":
        return [
            _entry(
                "labels", {**_units(span, text), "text": text[span["start"] : span["end"]], "labels": [span["label"]]}
            )
            for span in value["spans"]
        ]
    if size is None:
        raise InvalidInput(
            f"{task_type}: found no picture size, expected (width, height): coordinates are percent there"
        )
    width, height = size
    frame = {"original_width": width, "original_height": height, "image_rotation": 0}
    if task_type == "boxes":
        return [_entry("rectanglelabels", _rectangle(box, width, height), **frame) for box in value["boxes"]]
    return [
        _entry(
            "polygonlabels",
            {
                "points": [[100.0 * x / width, 100.0 * y / height] for x, y in polygon["points"]],
                "closed": True,
                "polygonlabels": [polygon["label"]],
            },
            **frame,
        )
        for polygon in value["polygons"]
    ]


def _entry(kind: str, value: JsonObject, **more: int) -> JsonObject:
    return {"from_name": CONTROL, "to_name": OBJECT, "type": kind, "value": value, **more}


def _item(entry: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("value"), Mapping):
        raise InvalidInput(f"found {_short(entry)} in the answer, expected an object with a value")
    if (entry.get("from_name"), entry.get("to_name")) != (CONTROL, OBJECT):
        raise InvalidInput(
            f"found an answer from {_short(entry.get('from_name'))} to {_short(entry.get('to_name'))}, expected "
            f"{CONTROL!r} to {OBJECT!r}"
        )
    return str(entry.get("type")), entry["value"]


def _listed(kind: str, value: Mapping[str, Any], expected: str, key: str = "") -> list[str]:
    listed = value.get(key or expected)
    if kind != expected or not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise InvalidInput(f"found an answer of type {kind!r} with {_short(dict(value))}, expected {expected}")
    return listed


def _one_label(found: str, value: Mapping[str, Any], kind: str) -> str:
    labels = _listed(found, value, kind)
    if len(labels) != 1:
        raise InvalidInput(f"found a shape with {len(labels)} labels, expected one")
    return labels[0]


def _frame(entry: Mapping[str, Any]) -> tuple[float, float]:
    width, height = _number(entry, "original_width"), _number(entry, "original_height")
    if width <= 0 or height <= 0:
        raise InvalidInput(f"found a picture of {width:g} x {height:g} pixels, expected a positive size")
    if entry.get("image_rotation"):
        raise InvalidInput("found a shape on a rotated picture, expected the picture as it was sent")
    return width, height


def _box(value: Mapping[str, Any], entry: Mapping[str, Any]) -> JsonObject:
    if value.get("rotation"):
        raise InvalidInput("found a rotated box, expected sides parallel to the picture's")
    width, height = _frame(entry)
    left, top = _number(value, "x"), _number(value, "y")
    right, bottom = left + _number(value, "width"), top + _number(value, "height")
    return {
        "x_min": _pixels(left, width),
        "y_min": _pixels(top, height),
        "x_max": _pixels(right, width),
        "y_max": _pixels(bottom, height),
    }


def _rectangle(box: Mapping[str, Any], width: int, height: int) -> JsonObject:
    return {
        "x": 100.0 * box["x_min"] / width,
        "y": 100.0 * box["y_min"] / height,
        "width": 100.0 * (box["x_max"] - box["x_min"]) / width,
        "height": 100.0 * (box["y_max"] - box["y_min"]) / height,
        "rotation": 0,
        "rectanglelabels": [box["label"]],
    }


def _polygon(value: Mapping[str, Any], entry: Mapping[str, Any]) -> JsonObject:
    width, height = _frame(entry)
    points = value.get("points")
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise InvalidInput(f"found points {_short(points)}, expected a list of [x, y]")
    return {
        "points": [[_pixels(_number({"x": x}, "x"), width), _pixels(_number({"y": y}, "y"), height)] for x, y in points]
    }


def _span(value: Mapping[str, Any], text: str) -> JsonObject:
    start, end = _number(value, "start"), _number(value, "end")
    units = text.encode("utf-16-le")
    if not (0 <= start < end <= len(units) // 2 and start == int(start) and end == int(end)):
        raise InvalidInput(f"found a span from {start:g} to {end:g} in a text of {len(units) // 2} UTF-16 units")
    return {"start": _characters(units, int(start)), "end": _characters(units, int(end))}


def _characters(units: bytes, offset: int) -> int:
    return len(units[: 2 * offset].decode("utf-16-le", "ignore"))


def _units(span: Mapping[str, Any], text: str) -> JsonObject:
    return {name: len(text[: span[name]].encode("utf-16-le")) // 2 for name in ("start", "end")}


def _pixels(percent: float, length: float) -> float:
    return round(percent * length / 100.0, PRECISION)


def _number(value: Mapping[str, Any], name: str) -> float:
    found = value.get(name)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise InvalidInput(f"found {name} {_short(found)}, expected a number")
    try:
        return float(found)
    except OverflowError:
        raise InvalidInput(f"found {name} of {len(str(found))} digits, expected a number") from None


def _short(found: object) -> str:
    return f"{found!r:.60}"

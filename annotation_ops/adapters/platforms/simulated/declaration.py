"""Reading `simulation.yaml`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from annotation_ops.adapters.platforms.document import read_document
from annotation_ops.adapters.platforms.simulated.simulation import (
    SimulatedPerson,
    Simulation,
    SliceModifier,
    Spammer,
    Truth,
)
from annotation_ops.adapters.platforms.simulated.truth_book import truth_entry
from annotation_ops.domain.errors import Fault, InvalidDocument
from annotation_ops.domain.records import JsonObject

_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_POSITIVE = {"type": "number", "exclusiveMinimum": 0}
_WORD = {"type": "string", "minLength": 1}


def _object(properties: JsonObject, *required: str) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        "minProperties": 1,
    }


_PERSON = _object(
    {
        "accuracy": _SHARE,
        "confusions": {
            "type": "object",
            "propertyNames": {"type": "string"},
            "additionalProperties": {
                "type": "object",
                "propertyNames": {"type": "string"},
                "additionalProperties": _SHARE,
            },
        },
        "slices": {
            "type": "array",
            "items": _object(
                {
                    "when": {"type": "object", "minProperties": 1, "additionalProperties": _WORD},
                    "accuracy_times": {"type": "number", "minimum": 0},
                },
                "when",
                "accuracy_times",
            ),
        },
        "seconds": _object({"median": _POSITIVE, "sigma": {"type": "number", "minimum": 0}}),
        "fatigue": _SHARE,
        "practice": _object(
            {"tasks": {"type": "integer", "minimum": 1}, "accuracy_times": _SHARE}, "tasks", "accuracy_times"
        ),
        "dropout": _SHARE,
        "skips": _SHARE,
        "late_edit": _object({"probability": _SHARE, "median_seconds": _POSITIVE}, "probability"),
        "deletes": _SHARE,
        "spammer": {"oneOf": [{"const": "random"}, _object({"always": _WORD}), _object({"copies": _WORD})]},
    }
)
SCHEMA: JsonObject = _object(
    {
        "version": _WORD,
        "seed": {"type": "integer"},
        "speed_up": _POSITIVE,
        "truth": _object({"file": _WORD, "items": {"type": "array", "items": {"type": "object"}}}),
        "defaults": _PERSON,
        "people": {"type": "object", "minProperties": 1, "additionalProperties": {**_PERSON, "minProperties": 0}},
    },
    "version",
    "truth",
    "people",
)
"""JSON Schema of the document."""


def load_simulation(path: Path, *, data_root: Path | None = None) -> Simulation:
    """Reads the people and where the truth lies. A relative `truth.file` is under `data_root` (default: beside the document);
    the file itself is read when the first answer is needed.

    Raises InvalidDocument with every fault: file, path, found, expected.
    """
    document = read_document(path, SCHEMA)
    if faults := tuple(_cross_faults(path, document)):
        raise InvalidDocument(faults)
    defaults = document.get("defaults", {})
    people = {name: _person(name, {**defaults, **declared}) for name, declared in document["people"].items()}
    return Simulation(
        people=people,
        truth=_truth(path, document["truth"], data_root or path.parent),
        seed=document.get("seed", 0),
        speed_up=document.get("speed_up", 1.0),
    )


def _cross_faults(path: Path, document: JsonObject) -> Iterator[Fault]:
    """What a schema cannot say: rows of probabilities, and copies of people who exist and look for themselves."""
    defaults = document.get("defaults", {})
    people = {name: {**defaults, **declared} for name, declared in document["people"].items()}
    for name, person in people.items():
        for label, row in person.get("confusions", {}).items():
            if sum(row.values()) > 1 or label in row:
                yield Fault(
                    str(path),
                    f"people.{name}.confusions.{label}",
                    json.dumps(row),
                    f"probabilities of labels other than {label!r} that sum to at most 1",
                )
        spammer = person.get("spammer")
        if not isinstance(spammer, dict) or "copies" not in spammer:
            continue
        copied = people.get(spammer["copies"])
        if copied is None or "copies" in (copied.get("spammer") or ()):
            yield Fault(
                str(path),
                f"people.{name}.spammer.copies",
                json.dumps(spammer["copies"]),
                "a declared annotator who copies nobody",
            )


def _person(name: str, declared: Mapping[str, Any]) -> SimulatedPerson:
    fields: dict[str, Any] = {
        key: declared[key]
        for key in ("accuracy", "confusions", "fatigue", "dropout", "skips", "deletes")
        if key in declared
    }
    renamed = (
        ("seconds", "median", "median_seconds"),
        ("seconds", "sigma", "sigma"),
        ("practice", "tasks", "practice_tasks"),
        ("practice", "accuracy_times", "unpractised_times"),
        ("late_edit", "probability", "late_edit"),
        ("late_edit", "median_seconds", "late_edit_seconds"),
    )
    for group, key, field in renamed:
        if key in declared.get(group, {}):
            fields[field] = declared[group][key]
    return SimulatedPerson(
        annotator_id=name,
        slices=tuple(
            SliceModifier(tuple(modifier["when"].items()), modifier["accuracy_times"])
            for modifier in declared.get("slices", ())
        ),
        spammer=_spammer(declared.get("spammer")),
        **fields,
    )


def _spammer(declared: Any) -> Spammer | None:
    if declared is None:
        return None
    if isinstance(declared, str):
        return Spammer(declared)
    [(kind, of)] = declared.items()
    return Spammer(kind, of)


def _truth(path: Path, declared: Mapping[str, Any], root: Path) -> Truth:
    rows = [
        truth_entry(row, file=str(path), path=f"truth.items[{number}]")
        for number, row in enumerate(declared.get("items", ()))
    ]
    return Truth(inline=dict(rows), file=root / declared["file"] if "file" in declared else None)

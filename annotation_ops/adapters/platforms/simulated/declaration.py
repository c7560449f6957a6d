"""Reading `simulation.yaml`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

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
    document = _parse(path)
    validator = Draft202012Validator(SCHEMA)
    faults = [_fault(path, error) for error in sorted(validator.iter_errors(document), key=lambda e: e.json_path)]
    if not faults:
        faults = list(_cross_faults(path, document))
    if faults:
        raise InvalidDocument(tuple(faults))
    defaults = document.get("defaults", {})
    people = {name: _person(name, {**defaults, **declared}) for name, declared in document["people"].items()}
    return Simulation(
        people=people,
        truth=_truth(path, document["truth"], data_root or path.parent),
        seed=document.get("seed", 0),
        speed_up=document.get("speed_up", 1.0),
    )


def _parse(path: Path) -> Any:
    try:
        return _with_text_keys(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InvalidDocument((Fault(str(path), "", "no such file", "a simulation document"),)) from None
    except UnicodeDecodeError as error:
        raise InvalidDocument((Fault(str(path), f"byte {error.start}", "bytes that are not UTF-8", "UTF-8"),)) from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InvalidDocument((Fault(str(path), line, error.problem or "broken YAML", "a YAML document"),)) from None


def _with_text_keys(value: Any) -> Any:
    """Labels such as 4 are read as numbers where they are keys; they mean the text. `no` is read as false: left as it is."""
    if isinstance(value, dict):
        return {
            str(key) if isinstance(key, (int, float)) and not isinstance(key, bool) else key: _with_text_keys(entry)
            for key, entry in value.items()
        }
    return [_with_text_keys(entry) for entry in value] if isinstance(value, list) else value


def _fault(path: Path, error: ValidationError) -> Fault:
    place = error.json_path.removeprefix("$").removeprefix(".")
    found = json.dumps(error.instance, default=str, ensure_ascii=False)
    return Fault(str(path), place, found if len(found) <= 120 else f"{found[:117]}...", _expected(error))


def _expected(error: ValidationError) -> str:
    limit = error.validator_value
    phrases: Mapping[str, str] = {
        "type": f"a value of type {limit}",
        "minimum": f"at least {limit}",
        "maximum": f"at most {limit}",
        "exclusiveMinimum": f"more than {limit}",
        "minLength": "a word that is not empty",
        "minProperties": "at least one entry",
        "oneOf": "random, {always: <label>} or {copies: <annotator>}",
    }
    if error.validator == "additionalProperties" and isinstance(error.schema, dict):
        return f"only the fields {', '.join(error.schema.get('properties', {}))}"
    if error.validator == "required" and isinstance(limit, list):
        return f"the fields {', '.join(limit)}"
    return phrases.get(str(error.validator), error.message)


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

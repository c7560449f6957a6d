"""Reading the YAML documents in which a project tells a platform what only that platform needs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from annotation_ops.domain.errors import Fault, InvalidDocument
from annotation_ops.domain.records import JsonObject


def read_document(path: Path, schema: JsonObject) -> JsonObject:
    """The document, which fits the JSON Schema. Raises InvalidDocument with every fault: file, path, found, expected."""
    document = _parse(path)
    errors = sorted(Draft202012Validator(schema).iter_errors(document), key=lambda error: error.json_path)
    if errors:
        raise InvalidDocument(tuple(_fault(path, error) for error in errors))
    read: JsonObject = document
    return read


def _parse(path: Path) -> Any:
    try:
        return _with_text_keys(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InvalidDocument((Fault(str(path), "", "no such file", f"a document {path.name}"),)) from None
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

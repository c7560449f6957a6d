"""Faults of a contract against the JSON schema of the Open Data Contract Standard, which catches typos at any depth."""

from collections.abc import Iterable, Iterator
from typing import Any

from jsonschema import Draft201909Validator
from jsonschema.exceptions import ValidationError

from annotation_ops.domain.errors import Fault
from annotation_ops.domain.project.places import describe, index, join, listing, shown_key, suggestion
from annotation_ops.domain.project.strict_yaml import Json
from annotation_ops.domain.records import JsonObject

_CLOSED = frozenset({"additionalProperties", "unevaluatedProperties"})
_SINGLE = ("if", "then", "else", "not")
_SEVERAL = ("allOf", "anyOf", "oneOf")


def standard_faults(content: Json, *, schema: JsonObject, file: str) -> tuple[Fault, ...]:
    """Every place where the content departs from the standard; `schema` is the standard's JSON schema."""
    validator = Draft201909Validator(schema)
    found: dict[str, Fault] = {}
    for error in validator.iter_errors(content):
        for telling in _telling(error):
            for fault in _faults_of(telling, root=schema, file=file):
                found.setdefault(fault.path, fault)
    return tuple(found.values())


def _telling(error: ValidationError) -> Iterator[ValidationError]:
    """The error itself or, of an `anyOf` or `oneOf`, the errors of the branches that have the right type."""
    branches: dict[object, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    fitting = [
        branch
        for branch in branches.values()
        if not any(inner.validator == "type" and not inner.relative_path for inner in branch)
    ]
    if not fitting:
        yield error
    for branch in fitting:
        for inner in branch:
            yield from _telling(inner)


def _faults_of(error: ValidationError, *, root: JsonObject, file: str) -> Iterator[Fault]:
    path = _path(error.absolute_path)
    if error.validator in _CLOSED and isinstance(error.instance, dict):
        # A wrong value below makes the validator report its right neighbours as unevaluated: only unknown names count.
        known = _names(error.schema, root=root)
        for name in error.instance:
            if name not in known:
                near = suggestion(name, sorted(known))
                place = join(path, shown_key(name))
                yield Fault(file, place, "an unknown field", listing(sorted(known)), near or "Remove it.")
    elif error.validator == "required" and isinstance(error.instance, dict):
        required: Any = error.validator_value
        for name in required:
            if name not in error.instance:
                yield Fault(file, join(path, name), "nothing", "a value (ODCS requires the field)", "Add the field.")
    else:
        yield Fault(file, path, describe(error.instance), _expectation(error), "")


def _expectation(error: ValidationError) -> str:
    value: Any = error.validator_value
    if error.validator == "enum":
        return listing(str(option) for option in value)
    if error.validator == "type":
        return listing([value] if isinstance(value, str) else value)
    if error.validator == "pattern":
        return f"text that matches {value}"
    return f"what ODCS 3 allows here ({error.validator})"


def _path(parts: Iterable[str | int]) -> str:
    path = ""
    for part in parts:
        path = index(path, part) if isinstance(part, int) else join(path, shown_key(part))
    return path


def _names(schema: object, *, root: JsonObject) -> set[str]:
    """The property names that a schema knows, through its references and alternatives."""
    names: set[str] = set()
    seen: set[int] = set()
    stack = [schema]
    while stack:
        node = stack.pop()
        if not isinstance(node, dict) or id(node) in seen:
            continue
        seen.add(id(node))
        names.update(node.get("properties", {}))
        stack.extend(node.get(keyword) for keyword in _SINGLE)
        stack.extend(part for keyword in _SEVERAL for part in node.get(keyword, ()))
        if "$ref" in node:
            stack.append(_referred(node["$ref"], root=root))
    return names


def _referred(reference: str, *, root: JsonObject) -> object:
    node: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        node = node.get(step) if isinstance(node, dict) else None
    return node

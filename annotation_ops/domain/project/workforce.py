"""The workforce: people and cohorts, their skills and limits."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast, get_args

from annotation_ops.domain.project.reading import Parsed, Reader, parse_document
from annotation_ops.domain.workforce.calibration import CalibrationRules, round_power

StageRole = Literal["reviewer", "adjudicator", "auditor"]

DEFAULT_CAPACITY = 20
"""Open assignments a person may hold when nothing is declared: about half a day of short tasks."""


@dataclass(frozen=True, slots=True)
class Annotator:
    annotator_id: str
    """Pseudonymous."""
    cohort: str
    skills: tuple[str, ...]
    languages: tuple[str, ...]
    domains: tuple[str, ...]
    region: str | None
    capacity: int
    """How many open assignments the person may hold."""
    senior: bool
    """May do the work of every stage after the judgements."""
    roles: tuple[StageRole, ...] = ()
    """Single stages that the person may work on."""

    def may(self, role: "StageRole") -> bool:
        """Whether the person may work on a stage."""
        return self.senior or role in self.roles


@dataclass(frozen=True, slots=True)
class Calibration:
    """People are certified on tasks whose answer is known; see docs/annotators.md."""

    rules: CalibrationRules
    required: bool
    """Whether work that ends in labels goes to certified people only, from the first calibration round on."""
    pause: timedelta
    """From a flag or a failed round to the next round: time for the training pack."""


@dataclass(frozen=True, slots=True)
class Workforce:
    version: str
    annotators: tuple[Annotator, ...]
    calibration: Calibration | None = None
    """None: nobody is asked for a certificate, and no round is planned by itself."""

    def person(self, annotator_id: str) -> Annotator | None:
        """By id; None for somebody who is not declared (any more)."""
        return next((one for one in self.annotators if one.annotator_id == annotator_id), None)


def parse_workforce(text: str, *, file: str = "workforce.yaml") -> Parsed[Workforce]:
    """`workforce.yaml` as a record, or every fault in it."""
    return parse_document(text, _read, file=file)


def _read(reader: Reader) -> Workforce:
    annotators = []
    first: set[str] = set()
    for person in reader.sections("annotators", required=True):
        annotator = _read_annotator(person)
        if annotator.annotator_id and annotator.annotator_id in first:
            person.fault("id", f"{annotator.annotator_id!r} twice", "each annotator once", "Give one another id.")
        first.add(annotator.annotator_id)
        annotators.append(annotator)
    if reader.content.get("annotators") == []:
        reader.wrong("annotators", "at least one annotator")
    return Workforce(version=reader.version(), annotators=tuple(annotators), calibration=_read_calibration(reader))


def _read_calibration(reader: Reader) -> Calibration | None:
    section = reader.section("calibration", required=False)
    if section is None:
        return None
    standard, faults = CalibrationRules(), len(reader.faults)
    size = section.integer("size", low=5, high=500, default=standard.size)
    minimum = section.number("minimum", low=0.0, high=1.0, open_ends="low high", default=standard.minimum)
    margin = section.number("margin", low=0.0, high=1.0, default=standard.margin)
    class_minimum = section.number(
        "class_minimum", low=0.0, high=1.0, open_ends="low high", default=standard.class_minimum
    )
    confidence = section.number("confidence", low=0.5, high=1.0, open_ends="low high", default=standard.confidence)
    valid_for = section.duration("valid_for", default=standard.valid_for)
    required = section.flag("required", default=False)
    pause = section.duration("pause", default=timedelta(days=1))
    section.close()
    if margin >= minimum:
        section.fault("margin", f"{margin:g}", f"a number below the minimum of {minimum:g}", "Lower it.")
    if len(reader.faults) > faults:
        return None
    rules = CalibrationRules(size, minimum, margin, class_minimum, confidence, valid_for)
    if round_power(rules=rules, truth=1.0).pass_from is None:
        expected = f"enough tasks that a round without an error excludes a skill of {minimum - margin:g}"
        section.fault("size", str(size), expected, "Raise size or margin, or lower confidence.")
    return Calibration(rules, required, pause)


def _read_annotator(reader: Reader) -> Annotator:
    annotator = Annotator(
        annotator_id=reader.identifier("id"),
        cohort=reader.identifier("cohort"),
        skills=reader.identifiers("skills"),
        languages=reader.identifiers("languages"),
        domains=reader.identifiers("domains"),
        region=reader.optional_identifier("region"),
        capacity=reader.integer("capacity", low=1, high=10_000, default=DEFAULT_CAPACITY),
        senior=reader.flag("senior", default=False),
        roles=_read_roles(reader),
    )
    reader.close()
    return annotator


def _read_roles(reader: Reader) -> tuple[StageRole, ...]:
    known = get_args(StageRole)
    return cast("tuple[StageRole, ...]", reader.texts("roles", re.compile("|".join(known)), " or ".join(known)))

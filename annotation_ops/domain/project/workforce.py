"""The workforce: people and cohorts, their skills and limits."""

from dataclasses import dataclass

from annotation_ops.domain.project.reading import Parsed, Reader, parse_document

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


@dataclass(frozen=True, slots=True)
class Workforce:
    version: str
    annotators: tuple[Annotator, ...]


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
    return Workforce(version=reader.version(), annotators=tuple(annotators))


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
    )
    reader.close()
    return annotator

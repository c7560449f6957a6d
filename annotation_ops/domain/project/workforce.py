"""The workforce: people and cohorts, their skills and limits."""

from dataclasses import dataclass


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

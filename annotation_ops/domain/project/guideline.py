"""The annotation guideline: Markdown with a front matter."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guideline:
    version: str
    taxonomy_version: str
    """The taxonomy it was written for; must be the taxonomy's current version."""
    text: str
    """Markdown that annotators see."""

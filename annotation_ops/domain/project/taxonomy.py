"""The label taxonomy: which answers exist, in which order."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Label:
    name: str
    description: str
    critical: bool
    """A class guard applies: the gate looks at this class by itself."""


@dataclass(frozen=True, slots=True)
class Taxonomy:
    version: str
    labels: tuple[Label, ...]
    """In document order, which is the category order of ordinal statistics and of probability columns."""
    ordered: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

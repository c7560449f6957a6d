"""The routing policy: who may be asked."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """Applies to tasks whose slices match `when` (all pairs; empty matches every task). All matching rules hold together."""

    name: str
    when: tuple[tuple[str, str], ...]
    skills: tuple[str, ...]
    languages: tuple[str, ...]
    domains: tuple[str, ...]
    cohorts: tuple[str, ...]
    """Any of these; empty = any."""
    same_region: bool
    """The annotator's region must equal the sample's."""


@dataclass(frozen=True, slots=True)
class Routing:
    version: str
    rules: tuple[RoutingRule, ...]
    distinct_cohorts: bool
    """The judgements of one task come from different cohorts."""
    exclude_earlier_attempts: bool
    """Nobody judges a sample again that they judged in an earlier attempt of the batch."""

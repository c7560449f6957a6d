"""The routing policy: who may be asked."""

from dataclasses import dataclass

from annotation_ops.domain.project.reading import Parsed, Reader, parse_document


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


def parse_routing(text: str, *, file: str = "routing.yaml") -> Parsed[Routing]:
    """`routing.yaml` as a record, or every fault in it."""
    return parse_document(text, _read, file=file)


def _read(reader: Reader) -> Routing:
    rules = []
    names: set[str] = set()
    for section in reader.sections("rules"):
        rule = _read_rule(section)
        if rule.name and rule.name in names:
            section.fault("name", f"{rule.name!r} twice", "each rule once", "Rename one of the two.")
        names.add(rule.name)
        rules.append(rule)
    return Routing(
        version=reader.version(),
        rules=tuple(rules),
        distinct_cohorts=reader.flag("distinct_cohorts", default=False),
        exclude_earlier_attempts=reader.flag("exclude_earlier_attempts", default=True),
    )


def _read_rule(reader: Reader) -> RoutingRule:
    rule = RoutingRule(
        name=reader.identifier("name"),
        when=reader.pairs("when"),
        skills=reader.identifiers("skills"),
        languages=reader.identifiers("languages"),
        domains=reader.identifiers("domains"),
        cohorts=reader.identifiers("cohorts"),
        same_region=reader.flag("same_region", default=False),
    )
    reader.close()
    return rule

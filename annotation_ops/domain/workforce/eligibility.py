"""Who may be asked about a task by declared policy, and how many people each requirement turned away."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from annotation_ops.domain.project.routing import Routing, RoutingRule
from annotation_ops.domain.project.workforce import Annotator

LANGUAGE = "language"
DOMAIN = "domain"
"""Attributes of a sample that ask for a speaker of that language, or for somebody who knows that domain, without any rule."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on a person; `code` is what an unroutable task is filed under."""

    code: str
    text: str
    admits: Callable[[Annotator], bool]


@dataclass(frozen=True, slots=True)
class Step:
    """What one requirement did to the candidates, in the order the requirements were applied."""

    code: str
    text: str
    failed: int
    left: int

    def __str__(self) -> str:
        return f"{self.text} turned away {self.failed}, leaving {self.left}"


@dataclass(frozen=True, slots=True)
class Eligible:
    """The people whom all requirements admit, as positions in the workforce, and the way there."""

    people: tuple[int, ...]
    rules: tuple[str, ...]
    steps: tuple[Step, ...]


def matching_rules(attributes: Mapping[str, str], *, routing: Routing) -> tuple[RoutingRule, ...]:
    """The rules whose `when` pairs all hold for a task; all of them apply together."""
    return tuple(rule for rule in routing.rules if all(attributes.get(name) == value for name, value in rule.when))


def requirements(
    rules: Sequence[RoutingRule], *, language: str | None, domain: str | None, region: str | None
) -> tuple[Requirement, ...]:
    """Everything asked of a person: by the sample itself first, then rule by rule in document order.

    Skills, languages and domains of a rule must all be held; of its cohorts, any one. Under `same_region` a sample
    without a region is nobody's: a residency rule that cannot be checked does not pass.
    """
    found: list[Requirement] = []
    if language is not None:
        found.append(_holds("no_language", "the sample", "language", "languages", language))
    if domain is not None:
        found.append(_holds("no_domain", "the sample", "domain", "domains", domain))
    for rule in rules:
        place = f"rule {rule.name!r}"
        found += [_holds("no_skill", place, "skill", "skills", skill) for skill in rule.skills]
        found += [_holds("no_language", place, "language", "languages", spoken) for spoken in rule.languages]
        found += [_holds("no_domain", place, "domain", "domains", known) for known in rule.domains]
        if rule.cohorts:
            found.append(_in_cohorts(place, rule.cohorts))
        if rule.same_region:
            found.append(_in_region(place, region))
    return tuple(found)


def certificate(certified: Collection[str]) -> Requirement:
    """A valid certificate for the task type; see docs/annotators.md."""
    return Requirement("not_certified", "a certificate", lambda person: person.annotator_id in certified)


def eligible(people: Sequence[Annotator], *, rules: Sequence[RoutingRule], wanted: Sequence[Requirement]) -> Eligible:
    """Applies the requirements one after the other."""
    left = list(range(len(people)))
    steps: list[Step] = []
    for requirement in wanted:
        admitted = [position for position in left if requirement.admits(people[position])]
        steps.append(Step(requirement.code, requirement.text, len(left) - len(admitted), len(admitted)))
        left = admitted
    return Eligible(tuple(left), tuple(rule.name for rule in rules), tuple(steps))


def _holds(code: str, place: str, noun: str, attribute: str, value: str) -> Requirement:
    def admits(person: Annotator) -> bool:
        return value in getattr(person, attribute)

    return Requirement(code, f"{noun} {value!r} ({place})", admits)


def _in_cohorts(place: str, cohorts: tuple[str, ...]) -> Requirement:
    def admits(person: Annotator) -> bool:
        return person.cohort in cohorts

    return Requirement("no_cohort", f"cohort {' or '.join(repr(name) for name in cohorts)} ({place})", admits)


def _in_region(place: str, region: str | None) -> Requirement:
    def admits(person: Annotator) -> bool:
        return region is not None and person.region == region

    text = f"region {region!r}" if region is not None else "same region, and the sample has none"
    return Requirement("no_region", f"{text} ({place})", admits)

"""Whether the declared people suffice for the declared overlap under the declared routing."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product

from annotation_ops.domain.errors import Fault
from annotation_ops.domain.project.contract import Contract
from annotation_ops.domain.project.routing import Routing
from annotation_ops.domain.project.workflow import Workflow
from annotation_ops.domain.project.workforce import Annotator, Workforce
from annotation_ops.domain.workforce.eligibility import DOMAIN, LANGUAGE, eligible, matching_rules, requirements

MAX_KINDS = 500
"""Kinds of tasks that are looked at: 500 of them, each with a rule of its own, take 0.3 s with 1,000 people."""


def staffing_faults(
    contract: Contract, *, workforce: Workforce, routing: Routing, workflow: Workflow, file: str
) -> Iterator[Fault]:
    """One fault for every kind of task (values of the slices that routing looks at) that too few people may judge.

    A later attempt may not go to earlier judges when routing excludes them, so every attempt needs people of its own.
    """
    attempts = workflow.max_attempts if routing.exclude_earlier_attempts else 1
    needed = workflow.overlap * attempts
    for slices, region in islice(_kinds(contract, workforce=workforce, routing=routing), MAX_KINDS):
        people = _people(slices, region=region, workforce=workforce, routing=routing)
        able = _judgements(people, attempts=attempts, distinct_cohorts=routing.distinct_cohorts)
        if able < needed:
            yield _fault(
                _kind(slices, contract=contract, region=region),
                workflow=workflow,
                attempts=attempts,
                found=_found(people, able=able, distinct_cohorts=routing.distinct_cohorts),
                file=file,
            )


def _kinds(
    contract: Contract, *, workforce: Workforce, routing: Routing
) -> Iterator[tuple[Mapping[str, str], str | None]]:
    asked = {name for rule in routing.rules for name, _ in rule.when} | {LANGUAGE, DOMAIN}
    fields = [field for field in contract.metadata if field.slice and field.name in asked]
    choices: list[Sequence[str | None]] = []
    for field in fields:
        mentioned = sorted({value for rule in routing.rules for name, value in rule.when if name == field.name})
        values = field.allowed or tuple(mentioned)
        # None is a value that no rule mentions, or none at all.
        open_ended = not field.allowed or not field.required
        choices.append((*values, None) if open_ended else values)
    for combination in product(*choices):
        slices = {field.name: value for field, value in zip(fields, combination, strict=True) if value is not None}
        for region in _regions(contract, workforce=workforce, routing=routing):
            yield slices, region


def _regions(contract: Contract, *, workforce: Workforce, routing: Routing) -> Sequence[str | None]:
    if contract.region_field is None or not any(rule.same_region for rule in routing.rules):
        return (None,)
    declared = next((field.allowed for field in contract.metadata if field.name == contract.region_field), ())
    return contract.allowed_regions or declared or sorted({p.region for p in workforce.annotators if p.region})


def _people(
    slices: Mapping[str, str], *, region: str | None, workforce: Workforce, routing: Routing
) -> list[Annotator]:
    rules = matching_rules(slices, routing=routing)
    wanted = requirements(rules, language=slices.get(LANGUAGE), domain=slices.get(DOMAIN), region=region)
    found = eligible(workforce.annotators, rules=rules, wanted=wanted)
    return [workforce.annotators[position] for position in found.people]


def _judgements(people: Sequence[Annotator], *, attempts: int, distinct_cohorts: bool) -> int:
    """How many judgements of one sample these people can give in all its attempts, each person one.

    With distinct cohorts an attempt takes at most one person of a cohort, so a cohort gives at most `attempts`.
    """
    if not distinct_cohorts:
        return len(people)
    sizes = Counter(person.cohort for person in people)
    return sum(min(size, attempts) for size in sizes.values())


def _kind(slices: Mapping[str, str], *, contract: Contract, region: str | None) -> str:
    values = [f"{name}={value}" for name, value in slices.items()]
    if region is not None:
        values.append(f"{contract.region_field}={region}")
    return f"a task with {', '.join(values)}" if values else "a task"


def _found(people: Sequence[Annotator], *, able: int, distinct_cohorts: bool) -> str:
    count = f"{len(people)} {'person' if len(people) == 1 else 'people'}"
    return f"{count} in cohorts enough for {able} judgements" if distinct_cohorts else count


def _fault(kind: str, *, workflow: Workflow, attempts: int, found: str, file: str) -> Fault:
    needed = workflow.overlap * attempts
    sum_of = f"{workflow.overlap} x {attempts} attempts that exclude earlier judges" if attempts > 1 else "the overlap"
    mend = "Add people to workforce.yaml, widen routing.yaml, or lower overlap or max_attempts."
    return Fault(file, "overlap", f"{found} who may judge {kind}", f"at least {needed} ({sum_of})", mend)

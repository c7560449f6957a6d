"""Routing: which people are asked about which task.

Policy decides who may be asked; among those, the people with the largest share of their capacity left are. Tasks with the
fewest candidates choose first, so that a scarce speaker is not used up by tasks that anybody could take. Ties fall by a
hash of task and person, so the plan is the same for every order of the input and on every machine.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.routing import Routing
from annotation_ops.domain.project.workforce import Annotator, Workforce
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.selection.stable_hash import seed_word, splitmix64
from annotation_ops.domain.workforce.eligibility import (
    DOMAIN,
    LANGUAGE,
    Eligible,
    Step,
    certificate,
    eligible,
    matching_rules,
    requirements,
)


@dataclass(frozen=True, slots=True)
class RoutableTask:
    """A task as the router sees it."""

    task_key: str
    sample_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Slices and metadata of the sample: what `when` of a rule is compared with. `language` and `domain`, when present,
    ask for a person who has them."""
    region: str | None = None
    asked: frozenset[str] = frozenset()
    """People who hold or judged this very task already (a further judgement is wanted): never asked again, and their
    cohorts count as used."""


@dataclass(frozen=True, slots=True)
class RoutedAssignment:
    task_key: str
    annotator_id: str
    explain: JsonObject
    """`rules` that applied, `passed` requirements, `candidates` at the moment of choice, the person's `load` before it and
    `capacity`. Integers and strings only: it may enter the audit trail."""


@dataclass(frozen=True, slots=True)
class UnroutableTask:
    task_key: str
    code: str
    """`no_language`, `no_domain`, `no_skill`, `no_cohort`, `no_region`, `not_certified`, `already_asked`, `judged_before`, `no_capacity`,
    `too_few_cohorts` or `too_few_people`."""
    reason: str
    """Which requirement left fewer people than are needed, and how many people each requirement turned away."""


@dataclass(frozen=True, slots=True)
class RoutingPlan:
    assignments: tuple[RoutedAssignment, ...]
    """By task key, then in the order people were chosen."""
    unroutable: tuple[UnroutableTask, ...]
    """By task key; nothing is assigned for these."""


def route(
    tasks: Sequence[RoutableTask],
    *,
    workforce: Workforce,
    routing: Routing,
    overlap: int,
    load: Mapping[str, int],
    history: Mapping[str, frozenset[str]],
    certified: Collection[str] | None = None,
) -> RoutingPlan:
    """Gives every task `overlap` different people, or says why it cannot.

    `load` is annotator_id -> open assignments now (absent = 0); `history` is sample_id -> people who judged the sample in
    an earlier attempt, honoured under `exclude_earlier_attempts`; `certified` are the people who may do this work, None
    asks for no certificate. Capacity is never exceeded. Raises InvalidInput for an
    overlap below 1 or a task key that occurs twice.
    """
    _require_valid(tasks, overlap)
    pool = _Pool(
        workforce.annotators, routing=routing, overlap=overlap, load=load, history=history, certified=certified
    )
    assignments: list[RoutedAssignment] = []
    unroutable: list[UnroutableTask] = []
    for task in pool.scarce_first(tasks):
        outcome = pool.take(task)
        if isinstance(outcome, UnroutableTask):
            unroutable.append(outcome)
        else:
            assignments.extend(outcome)
    assignments.sort(key=lambda routed: routed.task_key)
    unroutable.sort(key=lambda missed: missed.task_key)
    return RoutingPlan(tuple(assignments), tuple(unroutable))


def _require_valid(tasks: Sequence[RoutableTask], overlap: int) -> None:
    if overlap < 1:
        raise InvalidInput(f"found overlap {overlap}, expected at least 1 person a task")
    key, times = max(Counter(task.task_key for task in tasks).items(), key=lambda item: item[1], default=("", 0))
    if times > 1:
        raise InvalidInput(f"found task key {key!r} {times} times, expected every task once")


class _Pool:
    """People with the capacity they have left while one plan is made; lives inside one call of `route`."""

    def __init__(
        self,
        people: Sequence[Annotator],
        *,
        routing: Routing,
        overlap: int,
        load: Mapping[str, int],
        history: Mapping[str, frozenset[str]],
        certified: Collection[str] | None,
    ) -> None:
        self._people = sorted(people, key=lambda person: person.annotator_id)
        self._position = {person.annotator_id: position for position, person in enumerate(self._people)}
        self._routing = routing
        self._overlap = overlap
        self._certificate = () if certified is None else (certificate(certified),)
        self._history = history if routing.exclude_earlier_attempts else {}
        self._capacity = np.array([person.capacity for person in self._people], dtype=np.int64)
        self._load = np.array([load.get(person.annotator_id, 0) for person in self._people], dtype=np.int64)
        self._used = self._load / np.maximum(self._capacity, 1)
        self._barred = np.zeros(len(self._people), dtype=np.bool_)
        self._hashes = np.array([seed_word(person.annotator_id) for person in self._people], dtype=np.uint64)
        self._known: dict[tuple[object, ...], tuple[Eligible, NDArray[np.int64]]] = {}

    def scarce_first(self, tasks: Sequence[RoutableTask]) -> list[RoutableTask]:
        """Fewest candidates first; equals by a hash of the task key."""

        def scarcity(task: RoutableTask) -> tuple[int, int, str]:
            _, people = self._eligible(task)
            return len(self._without(people, self._excluded(task))), seed_word(task.task_key), task.task_key

        return sorted(tasks, key=scarcity)

    def take(self, task: RoutableTask) -> list[RoutedAssignment] | UnroutableTask:
        """The chosen people, whose capacity is used up by it, or the reason why nobody is."""
        found, people = self._eligible(task)
        candidates = self._without(people, self._excluded(task))
        candidates = candidates[self._load[candidates] < self._capacity[candidates]]
        chosen = self._choose(task, candidates)
        if len(chosen) < self._overlap:
            return self._unroutable(task, found)
        passed = [step.text for step in found.steps]
        assignments = [
            RoutedAssignment(
                task.task_key,
                self._people[position].annotator_id,
                {
                    "rules": list(found.rules),
                    "passed": passed,
                    "candidates": len(candidates),
                    "load": int(self._load[position]),
                    "capacity": int(self._capacity[position]),
                },
            )
            for position in chosen
        ]
        self._load[chosen] += 1
        self._used[chosen] = self._load[chosen] / self._capacity[chosen]
        return assignments

    def _eligible(self, task: RoutableTask) -> tuple[Eligible, NDArray[np.int64]]:
        """People by policy alone; tasks that ask the same share one answer."""
        rules = matching_rules(task.attributes, routing=self._routing)
        language, domain = task.attributes.get(LANGUAGE), task.attributes.get(DOMAIN)
        asks: tuple[object, ...] = (tuple(id(rule) for rule in rules), language, domain, task.region)
        if asks not in self._known:
            asked = requirements(rules, language=language, domain=domain, region=task.region)
            wanted = (*asked, *self._certificate)
            found = eligible(self._people, rules=rules, wanted=wanted)
            self._known[asks] = (found, np.array(found.people, dtype=np.int64))
        return self._known[asks]

    def _excluded(self, task: RoutableTask) -> frozenset[str]:
        return task.asked | self._history.get(task.sample_id, frozenset())

    def _without(self, people: NDArray[np.int64], excluded: frozenset[str]) -> NDArray[np.int64]:
        positions = [self._position[name] for name in excluded if name in self._position]
        if not positions:
            return people
        self._barred[positions] = True
        kept: NDArray[np.int64] = people[~self._barred[people]]
        self._barred[positions] = False
        return kept

    def _choose(self, task: RoutableTask, candidates: NDArray[np.int64]) -> list[int]:
        """Up to `overlap` candidates, the least loaded by share of capacity first."""
        ties = splitmix64(self._hashes[candidates] ^ np.uint64(seed_word(task.task_key)))
        order = candidates[np.lexsort((ties, self._used[candidates]))]
        if not self._routing.distinct_cohorts:
            return [int(position) for position in order[: self._overlap]]
        taken = self._cohorts_of(task.asked)
        chosen: list[int] = []
        for position in order:
            if (cohort := self._people[position].cohort) not in taken:
                taken.add(cohort)
                chosen.append(int(position))
                if len(chosen) == self._overlap:
                    break
        return chosen

    def _cohorts_of(self, names: frozenset[str]) -> set[str]:
        return {self._people[self._position[name]].cohort for name in names if name in self._position}

    def _unroutable(self, task: RoutableTask, found: Eligible) -> UnroutableTask:
        steps = [*found.steps, *self._late_steps(task, found)]
        total, needed = len(self._people), self._overlap
        if total < needed:
            return UnroutableTask(task.task_key, "too_few_people", f"{needed} people needed, the workforce has {total}")
        emptied = next(step for step in steps if step.left < needed)
        trail = "; ".join(str(step) for step in steps if step.failed or step is emptied)
        return UnroutableTask(
            task.task_key,
            emptied.code,
            f"{needed} people needed, {emptied.left} left of {total} after {emptied.text}: {trail}",
        )

    def _late_steps(self, task: RoutableTask, found: Eligible) -> list[Step]:
        """The requirements that depend on what happened so far: independence, capacity, cohorts."""
        steps: list[Step] = []
        left = [self._people[position] for position in found.people]

        def keep(code: str, text: str, kept: list[Annotator]) -> None:
            nonlocal left
            steps.append(Step(code, text, len(left) - len(kept), len(kept)))
            left = kept

        judged = self._history.get(task.sample_id, frozenset())
        keep(
            "already_asked", "not asked about this task already", [p for p in left if p.annotator_id not in task.asked]
        )
        keep("judged_before", "not judged in an earlier attempt", [p for p in left if p.annotator_id not in judged])
        keep("no_capacity", "capacity left", [p for p in left if self._has_capacity(p)])
        if self._routing.distinct_cohorts:
            taken = self._cohorts_of(task.asked)
            first = {p.cohort: p for p in left if p.cohort not in taken}
            keep("too_few_cohorts", "one person a cohort", list(first.values()))
        return steps

    def _has_capacity(self, person: Annotator) -> bool:
        position = self._position[person.annotator_id]
        return bool(self._load[position] < self._capacity[position])

from collections import Counter
from dataclasses import replace

import pytest

from annotation_ops.adapters.platforms.simulated.simulation import Misbehaviour
from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.errors import TransientError
from annotation_ops.domain.project.routing import RoutingRule
from annotation_ops.ports.annotation_platform import TaskSpec
from annotation_ops_tests.services.workshop import FIRST, SECOND, Workshop

FADED = RoutingRule("faded", (("scanner", "b"),), ("faded-scans",), (), (), (), same_region=False)


def people_of(workshop: Workshop, key: str) -> dict[str, set[str]]:
    """sample -> who is asked about it."""
    samples = {task.task_key: task.sample_id for task in workshop.tasks(key)}
    asked: dict[str, set[str]] = {}
    for assignment in workshop.assignments(key):
        asked.setdefault(samples[assignment.task_key], set()).add(assignment.annotator_id)
    return asked


def test_every_task_is_on_the_platform_once_and_three_teams_are_asked(workshop: Workshop) -> None:
    report = workshop.send()

    assert (report.placed.created, report.placed.adopted, report.placed.withdrawn, report.state) == (
        6,
        0,
        0,
        BatchState.IN_ANNOTATION,
    )
    assert sum(report.load.values()) == 18
    team = {person.annotator_id: person.cohort for person in workshop.project.workforce.annotators}
    for people in people_of(workshop, FIRST).values():
        assert {team[name] for name in people} == {"north", "south", "west"}
    assert workshop.attempt().due_at == workshop.clock.now() + workshop.project.contract.sla


def test_dispatching_again_asks_nobody_twice(workshop: Workshop) -> None:
    workshop.send()
    entries = workshop.ledger.audit_entries()

    again = workshop.dispatch(owner="run-2")

    assert (again.placed.created, again.placed.adopted, again.placed.withdrawn) == (0, 0, 0)
    assert workshop.ledger.audit_entries() == entries
    workshop.work()
    assert workshop.collect().collected == 18


def test_a_lost_reply_is_found_on_the_platform_and_not_sent_again(workshop: Workshop) -> None:
    workshop.staff(misbehave=Misbehaviour(lost_reply=1.0))
    workshop.plan()
    with pytest.raises(TransientError):
        workshop.dispatch()

    report = workshop.dispatch()

    assert (report.placed.created, report.placed.adopted, report.placed.withdrawn) == (0, 6, 0)


def test_half_a_create_is_completed_by_the_next_run(workshop: Workshop) -> None:
    workshop.staff(misbehave=Misbehaviour(partial_create=1.0))
    workshop.plan()
    with pytest.raises(TransientError):
        workshop.dispatch()
    workshop.staff()

    report = workshop.dispatch()

    assert (report.placed.created, report.placed.adopted) == (3, 3)


def test_a_task_created_twice_is_healed_and_its_second_copy_asks_nobody(workshop: Workshop) -> None:
    workshop.plan()
    (first, *_) = workshop.tasks()
    people = ("ann-01", "ann-05", "ann-09")
    twice = TaskSpec(first.task_key, {"image": first.uri}, people)
    workshop.platform.create_tasks(workshop.platform_project(), [twice, twice])

    report = workshop.dispatch()

    assert (report.placed.created, report.placed.adopted, report.placed.withdrawn) == (5, 1, 1)
    workshop.work()
    answers = workshop.answers(0)
    routed = {one.annotator_id for one in workshop.assignments() if one.task_key == first.task_key}
    assert len({answer.platform_task_id for answer in answers}) == 1
    assert {answer.annotator_id for answer in answers} == {*people, *routed}


def test_another_run_is_kept_out_while_one_holds_the_lease(workshop: Workshop) -> None:
    workshop.plan()
    workshop.ledger.acquire_lease(f"dispatch:digits:{FIRST}", "run-1", at=workshop.clock.now(), seconds=60)

    with pytest.raises(TransientError, match="another run is dispatching it"):
        workshop.dispatch(owner="run-2")

    assert workshop.assignments() == ()


def test_the_lease_is_given_back_when_the_platform_fails(workshop: Workshop) -> None:
    workshop.staff(misbehave=Misbehaviour(lost_reply=1.0))
    workshop.plan()
    with pytest.raises(TransientError, match="simulated 500"):
        workshop.dispatch(owner="run-1")

    assert workshop.dispatch(owner="run-2").state is BatchState.IN_ANNOTATION


def test_the_next_attempt_asks_other_people_and_earlier_judgements_stay(workshop: Workshop) -> None:
    workshop.reject()
    before = workshop.annotations(FIRST)

    workshop.send(SECOND)

    first, second = people_of(workshop, FIRST), people_of(workshop, SECOND)
    assert all(first[name] & second[name] == set() for name in first)
    assert Counter(map(len, second.values())) == {3: 6}
    assert workshop.annotations(FIRST) == before
    assert workshop.annotations(SECOND) == ()


def test_a_task_nobody_may_be_asked_about_carries_its_reason_and_the_others_go_out(workshop: Workshop) -> None:
    routing = workshop.project.routing
    workshop.project = replace(workshop.project, routing=replace(routing, rules=(*routing.rules, FADED)))

    report = workshop.send()

    assert (report.unroutable, report.placed.created) == ({"no_skill": 2}, 4)
    refused = [task for task in workshop.tasks() if task.unroutable_reason]
    assert {task.slices["scanner"] for task in refused} == {"b"}
    assert all("skill 'faded-scans'" in (task.unroutable_reason or "") for task in refused)
    assert all(task.platform_task_id is None for task in refused)


def test_a_batch_nobody_may_be_asked_about_waits_for_a_person(workshop: Workshop) -> None:
    alone = replace(workshop.project.workforce, annotators=workshop.project.workforce.annotators[:1])
    workshop.project = replace(workshop.project, workforce=alone)

    report = workshop.send()

    assert (report.state, report.unroutable) == (BatchState.ESCALATED, {"too_few_people": 6})
    assert "no task can be routed" in workshop.attempt().state_reason
    assert workshop.events()[-1] == "batch.escalated"
    assert workshop.dispatch().state is BatchState.ESCALATED

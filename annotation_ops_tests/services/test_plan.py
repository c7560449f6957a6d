from dataclasses import replace

import pytest

from annotation_ops.domain.batches import BatchPurpose, BatchState
from annotation_ops.domain.errors import Conflict, NotFound
from annotation_ops.domain.records import SYSTEM_ACTOR, Incident, IncidentState
from annotation_ops_tests.services.workshop import DAY, FIRST, SECOND, Workshop, sample

NEXT_BATCH = f"{DAY}-active-02.a1"
RELABEL = f"{DAY}-relabel-01.a1"


def of_three(workshop: Workshop) -> None:
    """Batches of three, so that six samples make two."""
    workshop.project = replace(workshop.project, workflow=replace(workshop.project.workflow, batch_size=3))


def incident(workshop: Workshop) -> Incident:
    return Incident(
        incident_id="i1",
        project="digits",
        model="digits-classifier",
        model_version="3",
        metric="accuracy",
        slices=("scanner:b",),
        state=IncidentState.OPEN,
        opened_at=workshop.clock.now(),
        evidence={},
        run_id=None,
    )


def opened(workshop: Workshop) -> None:
    with workshop.ledger.transaction(actor=SYSTEM_ACTOR, at=workshop.clock.now()) as tx:
        tx.put_incident(incident(workshop))
        tx.audit("incident.opened", "i1", {"project": "digits"})


def test_a_batch_takes_the_best_ranked_samples_in_their_order(workshop: Workshop) -> None:
    of_three(workshop)

    report = workshop.plan()

    assert (report.n_tasks, report.new, report.purpose) == (3, True, BatchPurpose.ACTIVE)
    assert [task.sample_id for task in workshop.tasks()] == [sample(0), sample(1), sample(2)]
    assert [task.position for task in workshop.tasks()] == [0, 1, 2]
    assert workshop.ledger.batch("digits", FIRST[:-3]).versions == workshop.project.versions


def test_planning_again_changes_nothing(workshop: Workshop) -> None:
    workshop.plan()
    tasks, entries = workshop.tasks(), workshop.ledger.audit_entries()

    report = workshop.plan()

    assert (report.n_tasks, report.new) == (6, False)
    assert workshop.tasks() == tasks
    assert workshop.ledger.audit_entries() == entries


def test_a_sample_is_never_in_two_batches(workshop: Workshop) -> None:
    of_three(workshop)
    workshop.plan()
    workshop.plan(NEXT_BATCH)

    first = {task.sample_id for task in workshop.tasks()}
    second = {task.sample_id for task in workshop.tasks(NEXT_BATCH)}

    assert (len(first), len(second), first & second) == (3, 3, set())


def test_a_used_up_ranking_says_so_and_plans_nothing(workshop: Workshop) -> None:
    workshop.plan()

    with pytest.raises(NotFound, match="6 samples and all of them are in a batch already"):
        workshop.plan(NEXT_BATCH)

    assert [batch.batch_id for batch in workshop.ledger.batches("digits")] == [FIRST[:-3]]


def test_a_rejected_batch_goes_back_whole_under_new_task_keys(workshop: Workshop) -> None:
    workshop.reject()

    workshop.plan(SECOND)

    before, after = workshop.tasks(FIRST), workshop.tasks(SECOND)
    assert [(t.sample_id, t.digest, t.uri, dict(t.slices)) for t in after] == [
        (t.sample_id, t.digest, t.uri, dict(t.slices)) for t in before
    ]
    assert {t.task_key for t in before} & {t.task_key for t in after} == set()
    assert (workshop.attempt(FIRST).state, workshop.attempt(SECOND).state) == (BatchState.REQUEUED, BatchState.PLANNED)
    assert len(workshop.annotations(FIRST)) == 18


def test_only_a_rejected_attempt_is_sent_back(workshop: Workshop) -> None:
    workshop.annotate()

    with pytest.raises(Conflict, match="found attempt 1 in state complete, expected failed"):
        workshop.plan(SECOND)


def test_an_incident_gets_the_samples_of_its_slice_and_its_batch_is_written_down(workshop: Workshop) -> None:
    opened(workshop)

    report = workshop.plan(RELABEL)

    assert (report.purpose, report.n_tasks) == (BatchPurpose.RELABEL, 2)
    assert {task.slices["scanner"] for task in workshop.tasks(RELABEL)} == {"b"}
    (known,) = workshop.ledger.incidents("digits")
    assert known.batch_id == RELABEL[:-3]
    assert not workshop.plan(RELABEL).new


def test_a_relabel_batch_that_no_incident_asks_for_is_refused(workshop: Workshop) -> None:
    with pytest.raises(NotFound, match="no open incident asks for it"):
        workshop.plan(RELABEL)


def test_an_incident_whose_slice_is_labelled_already_says_what_to_do(workshop: Workshop) -> None:
    workshop.plan()
    opened(workshop)

    with pytest.raises(NotFound, match="ingest new data of these slices"):
        workshop.plan(RELABEL)

import pytest

from annotation_ops.domain.batches import BatchPurpose, BatchState, attempt_key, milestone_batch_id, stage_batch_id
from annotation_ops.domain.errors import Conflict, NotFound
from annotation_ops.services.spot_audit import Audited
from annotation_ops_tests.services.workshop import DAY, FIRST, SECOND, Workshop, digits

AUDITED = digits(
    (
        (
            "criteria.yaml",
            "version: 1.0.0",
            "version: 1.0.0\naudit: {tolerable_error: 0.4, confidence: 0.9, floor: 0.5}",
        ),
    )
)
AUDIT = attempt_key(stage_batch_id(BatchPurpose.AUDIT, FIRST), 1)
SENIORS = {"ann-01", "ann-05", "ann-09"}


@pytest.fixture
def audited(workshop: Workshop) -> Workshop:
    workshop.project = AUDITED
    workshop.annotate()
    workshop.judge()
    return workshop


def test_a_batch_that_passed_waits_for_its_audit(audited: Workshop) -> None:
    assert audited.attempt().state is BatchState.IN_AUDIT
    assert audited.ledger.verdicts("digits")[0].outcome == "PASS"
    assert audited.current_labels() == {}


def test_seniors_audit_what_they_did_not_label_and_see_no_label(audited: Workshop) -> None:
    audited.send(AUDIT)

    judged = {task.task_key: set(Audited.of_task(task).annotators) for task in audited.tasks(AUDIT)}
    for one in audited.assignments(AUDIT):
        assert one.annotator_id in SENIORS
        assert one.annotator_id not in judged[one.task_key]
    routed = {one.task_key for one in audited.assignments(AUDIT)}
    missed = {task.task_key for task in audited.tasks(AUDIT) if task.unroutable_reason}
    assert routed | missed == judged.keys()
    assert routed


def test_a_clean_audit_lets_the_batch_pass(audited: Workshop) -> None:
    audited.annotate(AUDIT)

    settled = audited.judge(AUDIT)
    assert (settled.state, audited.attempt().state) == (BatchState.SETTLED, BatchState.COMPLETE)
    final = audited.judge()

    assert (final.outcome, final.state) == ("PASS", BatchState.PASSED)
    assert final.document["audit"]["errors"] == 0
    assert audited.publish().labels == 6


def test_an_audit_that_finds_the_labels_wrong_rejects_the_whole_batch(audited: Workshop) -> None:
    audited.staff(accuracy=0.0)
    audited.annotate(AUDIT)
    audited.judge(AUDIT)

    final = audited.judge()

    assert (final.outcome, final.state) == ("FAIL", BatchState.FAILED)
    assert "audit_failed" in [reason["code"] for reason in final.document["reasons"]]
    audited.staff()
    audited.plan(SECOND)
    assert audited.attempt().state is BatchState.REQUEUED


def test_settling_an_audit_again_changes_nothing(audited: Workshop) -> None:
    audited.annotate(AUDIT)
    first = audited.judge(AUDIT)
    entries = audited.ledger.audit_entries()

    again = audited.judge(AUDIT)

    assert (again.new, again.document) == (False, first.document)
    assert audited.ledger.audit_entries() == entries


def test_the_same_batch_draws_the_same_audit(audited: Workshop, tmp_path) -> None:
    audited.plan(AUDIT)
    twin = Workshop.build(tmp_path / "twin", project=AUDITED)
    twin.annotate()
    twin.judge()
    twin.plan(AUDIT)

    drawn, again = ([task.sample_id for task in shop.tasks(AUDIT)] for shop in (audited, twin))
    assert drawn == again


def test_a_milestone_audits_what_is_published(audited: Workshop) -> None:
    audited.annotate(AUDIT)
    audited.judge(AUDIT)
    audited.judge()
    audited.publish()
    milestone = attempt_key(milestone_batch_id(DAY, 7), 1)

    audited.annotate(milestone)
    report = audited.judge(milestone)

    assert (report.outcome, report.state) == ("PASS", BatchState.SETTLED)
    assert audited.attempt().state is BatchState.PUBLISHED


def test_nothing_published_is_nothing_to_audit(audited: Workshop) -> None:
    with pytest.raises(NotFound, match="to audit"):
        audited.plan(attempt_key(milestone_batch_id(DAY, 7), 1))


def test_a_project_without_audit_criteria_plans_none(workshop: Workshop) -> None:
    workshop.annotate()
    workshop.judge()

    with pytest.raises(Conflict, match="asks for no audit"):
        workshop.plan(AUDIT)

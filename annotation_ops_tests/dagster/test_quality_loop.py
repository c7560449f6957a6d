"""Top-up, audit and calibration as real Dagster runs, each asked for by the sensor that owns it."""

import dagster as dg
import pytest
from mlflow import MlflowClient

from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.tables import GOLD_LABELS
from annotation_ops_tests.dagster.deployment import OTHERS_WARNINGS, TODAY, Loop, metadata_of
from annotation_ops_tests.dagster.test_assets import BATCH, POOL, features

pytestmark = [*OTHERS_WARNINGS]

AUDIT = "2026-11-23-audit-active-01-1.a1"
AUDITED = "version: 1.0.0\naudit: {tolerable_error: 0.4, confidence: 0.9, floor: 0.5}"


def asked(loop: Loop, sensor: str) -> list[tuple[str | None, str | None]]:
    return [(one.job_name, one.partition_key) for one in loop.sensor(sensor).run_requests or ()]


def succeed(loop: Loop, stage: str, partition: str | None = None) -> dg.ExecuteInProcessResult:
    result = loop.run(stage, partition)
    assert result.success, [event.message for event in result.all_events if event.is_failure]
    return result


@pytest.fixture
def lenient(loop: Loop) -> Loop:
    """Criteria that the unpractised people of the example project meet."""
    loop.here.edit("criteria.yaml", "threshold: 0.85", "threshold: 0.3")
    loop.here.edit("criteria.yaml", "max_share_below: 0.10", "max_share_below: 0.90")
    return loop


def publish(loop: Loop) -> None:
    loop.annotate(BATCH, POOL[:60])
    succeed(loop, "judge", BATCH)
    succeed(loop, "publish", BATCH)


def test_a_batch_that_passed_is_audited_before_it_is_published(lenient: Loop) -> None:
    lenient.here.edit("criteria.yaml", "version: 1.0.0", AUDITED)
    lenient.annotate(BATCH, POOL[:60])
    succeed(lenient, "judge", BATCH)
    first = asked(lenient, "conductor")
    succeed(lenient, "dispatch", AUDIT)
    lenient.work()
    succeed(lenient, "collect")
    audit = succeed(lenient, "judge", AUDIT)
    then = asked(lenient, "conductor")
    succeed(lenient, "judge", BATCH)

    assert ("digits_dispatch", AUDIT) in first
    assert metadata_of(audit, "qa_passed_labels")[AUDIT]["verdict"] == "PASS"
    assert ("digits_judge", BATCH) in then
    assert lenient.parts.ledger.attempt("digits", "2026-11-23-active-01", 1).state is BatchState.PASSED
    gold = lenient.parts.lake.read(GOLD_LABELS, partition={"project": "digits"}).column("batch_id").to_pylist()
    assert set(gold) == {"2026-11-23-active-01"}, "an audit makes no labels"


def test_an_audit_that_finds_errors_is_a_green_run_and_turns_the_batch_red(lenient: Loop) -> None:
    lenient.here.edit("criteria.yaml", "version: 1.0.0", AUDITED.replace("0.4", "0.001"))
    lenient.annotate(BATCH, POOL[:60])
    succeed(lenient, "judge", BATCH)
    succeed(lenient, "dispatch", AUDIT)
    lenient.work()
    succeed(lenient, "collect")

    audit = succeed(lenient, "judge", AUDIT)

    shown = metadata_of(audit, "qa_passed_labels")[AUDIT]
    assert shown["verdict"] in {"FAIL", "INSUFFICIENT"}
    assert not lenient.run("judge", BATCH).success
    assert features(lenient) == []


def test_an_unsettled_verdict_is_topped_up_by_a_run_of_its_own(loop: Loop) -> None:
    loop.here.edit("workflow.yaml", "overlap: 3", "overlap: 2\noverlap_share: 0.3\ntop_up: {rounds: 1, tasks: 10}")
    loop.here.edit(
        "workflow.yaml",
        "platform: simulated",
        "platform: simulated\nadaptive_overlap: {policy: model_assisted, cap: 2}",
    )
    loop.here.deliver(loop.parts, POOL[:60], day=TODAY)
    succeed(loop, "ingest", TODAY.isoformat())
    succeed(loop, "dispatch", BATCH)
    while loop.parts.ledger.attempt("digits", "2026-11-23-active-01", 1).state is BatchState.IN_ANNOTATION:
        loop.work()
        succeed(loop, "collect")
    judged = loop.run("judge", BATCH)
    attempt = loop.parts.ledger.attempt("digits", "2026-11-23-active-01", 1)
    requests = asked(loop, "conductor")

    result = succeed(loop, "top_up", BATCH)

    assert (judged.success, attempt.state) == (False, BatchState.INSUFFICIENT)
    assert ("digits_top_up", BATCH) in requests
    assert result.success
    assert loop.parts.ledger.attempt("digits", "2026-11-23-active-01", 1).state is BatchState.IN_ANNOTATION


def test_a_new_model_version_has_the_published_labels_audited_once(lenient: Loop) -> None:
    lenient.here.edit(
        "criteria.yaml", "version: 1.0.0", AUDITED.replace("}", ", before_publishing: false, milestones: true}")
    )
    publish(lenient)
    assert asked(lenient, "milestone") == []
    client = MlflowClient(lenient.parts.settings.tracking)
    client.create_registered_model("digits-classifier")
    client.create_model_version("digits-classifier", str(lenient.here.home / "artifacts"))
    ((job, key),) = asked(lenient, "milestone")
    assert key is not None
    assert key.endswith("-audit-model-01.a1")

    succeed(lenient, job.removeprefix("digits_") if job else "dispatch", key)

    assert asked(lenient, "milestone") == []
    assert len(lenient.parts.ledger.tasks("digits", key.removesuffix(".a1"), 1)) > 10


def test_people_are_called_to_calibration_after_a_verdict_and_their_rounds_are_sent(lenient: Loop) -> None:
    rules = "version: 1.0.0\ncalibration: {size: 10, minimum: 0.6, margin: 0.3, class_minimum: 0.1}"
    lenient.here.edit("workforce.yaml", "version: 1.0.0", rules)
    publish(lenient)
    assert asked(lenient, "calibration") == [(None, None)] or asked(lenient, "calibration") == [
        ("digits_calibrate", None)
    ]
    shown = metadata_of(succeed(lenient, "calibrate"), "annotators")["None"]
    rounds = [key for job, key in asked(lenient, "conductor") if job == "digits_dispatch" and "calibration" in str(key)]
    for key in rounds:
        succeed(lenient, "dispatch", key)
    lenient.work()
    succeed(lenient, "collect")
    for key in rounds:
        succeed(lenient, "judge", key)
    after = metadata_of(succeed(lenient, "calibrate"), "annotators")["None"]

    assert (shown["uncertified"], shown["rounds_planned"], len(rounds)) == (12, 12, 12)
    assert after.get("certified", 0) >= 6
    assert "ann-01" in str(after["people"])
    assert "north and south" in str(after["cohorts"])


def test_standings_are_looked_at_once_for_each_cause(loop: Loop) -> None:
    loop.here.edit("workforce.yaml", "version: 1.0.0", "version: 1.0.0\ncalibration: {size: 40}")
    (first,) = loop.sensor("calibration").run_requests or ()
    job = loop.definitions.resolve_job_def("digits_calibrate")
    assert job.execute_in_process(instance=loop.instance, tags=first.tags).success

    again = loop.sensor("calibration")
    loop.here.edit("guideline.md", "version: 1.0.0", "version: 1.1.0")
    (other,) = loop.sensor("calibration").run_requests or ()

    assert not again.run_requests
    assert "nothing happened" in str(again.skip_reason)
    assert other.run_key != first.run_key


def test_a_project_without_calibration_has_no_sensor_for_it(loop: Loop) -> None:
    with pytest.raises(dg.DagsterInvariantViolationError):
        loop.definitions.resolve_sensor_def("digits_calibration")

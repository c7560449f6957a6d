"""Sensors, tick by tick: what they ask for, when they ask again, and when they hold still."""

from dataclasses import replace
from datetime import datetime, timedelta

import dagster as dg
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric

from annotation_ops.adapters.mlops.mlflow_tracking import MlflowTracking
from annotation_ops.defs.sensors import MAX_TRIES, WORK_TAG
from annotation_ops.demo import digits
from annotation_ops.domain.errors import TransientError
from annotation_ops_tests.dagster.deployment import (
    OTHERS_WARNINGS,
    QUIET,
    TODAY,
    Loop,
    definitions,
    deployment,
)

pytestmark = [*OTHERS_WARNINGS]

POOL = digits.load(seed=0).pool
DEAD = "http://127.0.0.1:9"


def requests(result: dg.SensorResult) -> list[dg.RunRequest]:
    return list(result.run_requests or ())


def reason(result: dg.SensorResult) -> str:
    assert not result.run_requests
    assert result.skip_reason is not None
    return result.skip_reason.skip_message or ""


def fail(instance: dg.DagsterInstance, request: dg.RunRequest, *, job: str = "digits_dispatch") -> None:
    """A run of the request that ends red."""

    @dg.op
    def break_down() -> None:
        raise RuntimeError("the platform is down")

    @dg.job(name=job)
    def broken() -> None:
        break_down()

    tags = {**request.tags, **({"dagster/partition": request.partition_key} if request.partition_key else {})}
    broken.execute_in_process(instance=instance, tags=tags, raise_on_error=False, run_config=QUIET)


def ranked(loop: Loop) -> Loop:
    loop.here.deliver(loop.parts, POOL[:60], day=TODAY)
    assert loop.run("ingest", TODAY.isoformat()).success
    return loop


def test_new_objects_ask_for_one_run_of_their_day_and_only_once(loop: Loop) -> None:
    nothing = loop.sensor("new_data")
    loop.here.deliver(loop.parts, POOL[:3], day=TODAY)
    first = loop.sensor("new_data", cursor=nothing.cursor)
    second = loop.sensor("new_data", cursor=first.cursor)
    loop.here.deliver(loop.parts, POOL[3:4], day=TODAY)
    third = loop.sensor("new_data", cursor=second.cursor)

    assert "no new object" in reason(nothing)
    assert [request.partition_key for request in requests(first)] == ["2026-11-23"]
    assert "no new object" in reason(second)
    assert [request.partition_key for request in requests(third)] == ["2026-11-23"]
    assert requests(first)[0].run_key != requests(third)[0].run_key


def test_an_ingestion_that_failed_is_asked_for_again_though_the_cursor_went_on(loop: Loop) -> None:
    loop.here.deliver(loop.parts, POOL[:3], day=TODAY)
    first = loop.sensor("new_data")
    fail(loop.instance, requests(first)[0], job="digits_ingest")

    (again,) = requests(loop.sensor("new_data", cursor=first.cursor))

    assert again.partition_key == "2026-11-23"
    assert again.tags[WORK_TAG] == requests(first)[0].tags[WORK_TAG]
    assert again.run_key == f"{again.tags[WORK_TAG]}:2"


def test_objects_are_ingested_once_though_the_cursor_was_lost(loop: Loop) -> None:
    loop.here.deliver(loop.parts, POOL[:3], day=TODAY)
    (request,) = requests(loop.sensor("new_data"))
    job = loop.definitions.resolve_job_def("digits_ingest")
    assert job.execute_in_process(
        instance=loop.instance, partition_key=request.partition_key, tags=request.tags, run_config=QUIET
    ).success

    assert "no new object" in reason(loop.sensor("new_data", cursor=None))


def test_a_ranking_becomes_one_batch_and_its_partition_is_asked_for_once(loop: Loop) -> None:
    assert "nothing is ranked yet" in reason(loop.sensor("conductor"))
    first = ranked(loop).sensor("conductor")
    (request,) = requests(first)
    (addition,) = first.dynamic_partitions_requests or ()

    loop.instance.add_dynamic_partitions("digits_batches", list(addition.partition_keys))
    second = loop.sensor("conductor")

    assert (request.job_name, request.partition_key) == ("digits_dispatch", "2026-11-23-active-01.a1")
    assert list(addition.partition_keys) == ["2026-11-23-active-01.a1"]
    assert not second.dynamic_partitions_requests
    assert [again.run_key for again in requests(second)] == [request.run_key], "the same work, the same key"


def test_failed_work_gets_a_new_run_key_a_try_until_it_failed_too_often(loop: Loop) -> None:
    ranked(loop)
    keys = []
    for _ in range(MAX_TRIES):
        (request,) = requests(loop.sensor("conductor"))
        keys.append(request.run_key or "")
        fail(loop.instance, request)

    work = keys[0].removesuffix(":1")
    assert keys == [f"{work}:{number}" for number in range(1, MAX_TRIES + 1)]
    assert "2026-11-23-active-01.a1" in reason(loop.sensor("conductor"))


def test_failed_work_waits_before_it_is_tried_again(loop: Loop) -> None:
    ranked(loop)
    patient = deployment(loop.here.home.parent / "patient", start=TODAY, ANNOTATION_OPS_RETRY_SECONDS="3600").settings
    (request,) = requests(loop.sensor("conductor"))
    fail(loop.instance, request)

    waiting = Loop(loop.here, replace(loop.parts, settings=patient), loop.instance, loop.clock)

    assert patient.retry_after == timedelta(hours=1)
    assert "waiting to be tried again" in reason(waiting.sensor("conductor"))
    assert len(requests(loop.sensor("conductor"))) == 1, "with no wait it is asked for at once"


def test_work_that_is_under_way_is_not_asked_for_again(loop: Loop) -> None:
    ranked(loop)
    (request,) = requests(loop.sensor("conductor"))
    job = loop.definitions.resolve_job_def("digits_collect")
    loop.instance.create_run_for_job(job, tags=request.tags)

    assert "running" in reason(loop.sensor("conductor"))


def test_a_clock_that_went_back_decides_nothing_and_says_so(loop: Loop) -> None:
    ranked(loop)
    loop.clock.advance(timedelta(hours=-1))

    assert "the clock went back" in reason(loop.sensor("conductor"))


def log_metrics(loop: Loop, value: float) -> None:
    """A finished run as somebody's evaluation leaves it."""
    client = MlflowClient(loop.parts.settings.tracking)
    found = client.get_experiment_by_name("digits")
    experiment = found.experiment_id if found else client.create_experiment("digits", str(loop.here.home / "artifacts"))
    tags = {"annotation_ops.model": "digits-classifier", "annotation_ops.model_version": "1"}
    run = client.create_run(experiment, tags=tags)
    moment = int(loop.clock.now().timestamp() * 1000)
    client.log_batch(run.info.run_id, metrics=[Metric("accuracy", value, moment, 0), Metric("n", 200, moment, 0)])
    client.set_terminated(run.info.run_id)


def test_metrics_are_asked_for_once_and_nothing_new_is_a_reason_to_skip(loop: Loop) -> None:
    assert "no metric was logged" in reason(loop.sensor("degradation"))
    log_metrics(loop, 0.9)
    (first,) = requests(loop.sensor("degradation"))
    (same,) = requests(loop.sensor("degradation"))
    fail(loop.instance, first, job="digits_monitor")
    (again,) = requests(loop.sensor("degradation"))
    assert loop.run("monitor").success

    assert first.run_key == same.run_key
    assert again.run_key == (first.run_key or "").replace(":1", ":2")
    assert "no metric was logged" in reason(loop.sensor("degradation"))


def test_a_tracker_that_is_away_fails_the_tick_in_words_and_loses_nothing(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    log_metrics(loop, 0.9)
    away = Loop(loop.here, replace(loop.parts, tracking=MlflowTracking(DEAD)), loop.instance, loop.clock)

    with pytest.raises((TransientError, dg.DagsterError)) as failed:
        away.sensor("degradation")

    told = " ".join(str(error) for error in (failed.value, failed.value.__cause__))
    assert DEAD in told
    assert loop.parts.ledger.cursor("monitor:digits") is None
    assert len(requests(loop.sensor("degradation"))) == 1


def test_the_night_s_schedule_asks_for_the_day_that_ended(loop: Loop) -> None:
    schedule = loop.definitions.get_repository_def().get_schedule_def("digits_daily_ingest")
    context = dg.build_schedule_context(
        instance=loop.instance,
        scheduled_execution_time=datetime.fromisoformat("2026-11-23T00:15:00+00:00"),
        resources={"annotation_ops": loop.parts},
    )

    asked = schedule(context)

    assert [(request.partition_key, request.run_key) for request in asked] == [("2026-11-22", "2026-11-22")]


def test_a_project_without_a_monitor_has_no_sensor_for_it(loop: Loop) -> None:
    unwatched = replace(loop.here.project, monitor=None)

    repository = definitions(unwatched, loop.parts).get_repository_def()

    assert {sensor.name for sensor in repository.sensor_defs} == {"digits_new_data", "digits_conductor"}
    assert not repository.has_job("digits_train")

"""Sensors: shells over pure decisions. They read and request; effects happen in runs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import dagster_name
from annotation_ops.defs.jobs import AssetJob
from annotation_ops.defs.partitions import batches
from annotation_ops.domain.conductor import Due, decide
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.records import content_key
from annotation_ops.services import monitor
from annotation_ops.services.arrivals import new_objects
from annotation_ops.services.calibration import standings_cause
from annotation_ops.services.deliver import due_work
from annotation_ops.services.spot_audit import due_milestone
from annotation_ops.services.status import loop_state

WORK_TAG = "annotation_ops/work"
"""Run tag with the content key of the work: how often it was tried is looked up by it."""

MAX_TRIES = 5
"""A piece of work that failed this often waits for a person; its runs are red in the UI."""

WAIT_TIMES = 4
"""Each wait before another try is this many times the one before: with the default minute, the five tries span 85 minutes."""

LONGEST_WAIT = 3
"""The wait grows this often: with the default minute to an hour, where what is collected without end is tried again."""

FAILED_LOOKED_AT = 100
"""Newest runs of a job among which the new-data sensor looks for days whose ingestion failed."""

OBJECTS_A_TICK = 20_000
"""Listed before a tick stops and the next one goes on: 20 pages of a bucket, well under the 60 s limit of a tick."""

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def build(project: AnnotationProject, jobs: dict[str, AssetJob]) -> list[dg.SensorDefinition]:
    sensors = [_new_data(project, jobs), _conductor(project, jobs)]
    if project.workforce.calibration is not None:
        sensors.append(_calibration(project, jobs))
    if project.webhooks is not None:
        sensors.append(_webhooks(project, jobs))
    if project.monitor is None:
        return sensors
    sensors.append(_degradation(project, jobs))
    audit = project.criteria.audit
    return [*sensors, _milestone(project, jobs)] if audit is not None and audit.milestones else sensors


def _conductor(project: AnnotationProject, jobs: dict[str, AssetJob]) -> dg.SensorDefinition:
    stages = [name for name in ("dispatch", "collect", "judge", "top_up", "publish", "train") if name in jobs]

    @dg.sensor(
        name=dagster_name(project, "conductor"),
        jobs=[jobs[name] for name in stages],
        minimum_interval_seconds=5,
        description="Turns what is due into runs: planned -> dispatch, complete -> judge, not settled -> top up, "
        "failed -> the next attempt, to be audited -> its audit, passed -> publish, new labels -> train.",
    )
    def conductor(context: dg.SensorEvaluationContext, annotation_ops: dg.ResourceParam[Parts]) -> dg.SensorResult:
        now = annotation_ops.clock.now()
        state = loop_state(project, ledger=annotation_ops.ledger, now=now)
        decision = decide(state, now, collect_every=annotation_ops.settings.collect_every)
        wait = annotation_ops.settings.retry_after
        requests = [
            request for due in decision.due if (request := _request(context.instance, project, due, wait)) is not None
        ]
        if not requests:
            reason = decision.idle or f"{_named(decision.due)}: running, waiting to be tried again, or failed too often"
            return dg.SensorResult(skip_reason=reason)
        keys = [request.partition_key for request in requests if request.partition_key]
        known = set(context.instance.get_dynamic_partitions(batches(project).name or ""))
        fresh = [key for key in dict.fromkeys(keys) if key not in known]
        additions = [batches(project).build_add_request(fresh)] if fresh else []
        return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=additions)

    return conductor


def _named(due: Sequence[Due]) -> str:
    return ", ".join(f"{one.stage} {one.key}".strip() for one in due)


def _request(
    instance: dg.DagsterInstance, project: AnnotationProject, due: Due, first_wait: timedelta
) -> dg.RunRequest | None:
    number = _next_try(instance, due.run_key, first_wait, most=None if due.stage == "collect" else MAX_TRIES)
    if number is None:
        return None
    return dg.RunRequest(
        run_key=f"{due.run_key}:{number}",
        job_name=dagster_name(project, due.stage),
        partition_key=due.key or None,
        tags={WORK_TAG: due.run_key, "annotation_ops/why": due.why[:200]},
    )


def _next_try(
    instance: dg.DagsterInstance, work: str, first_wait: timedelta, *, most: int | None = MAX_TRIES
) -> int | None:
    """The number of the next try; None while a run of the work is under way, too soon after one failed, or after `most` tries.

    Dagster never launches a run key twice, not even one that failed: the number makes a new one.
    """
    tried = instance.get_runs_count(dg.RunsFilter(tags={WORK_TAG: work}))
    records = instance.get_run_records(dg.RunsFilter(tags={WORK_TAG: work}), limit=MAX_TRIES)
    if (most is not None and tried >= most) or any(record.dagster_run.status in UNFINISHED for record in records):
        return None
    newest = records[0] if records else None
    if newest is not None and newest.dagster_run.status is not dg.DagsterRunStatus.SUCCESS:
        ended = datetime.fromtimestamp(newest.end_time or 0.0, UTC)
        if datetime.now(UTC) - ended < first_wait * WAIT_TIMES ** min(tried - 1, LONGEST_WAIT):
            return None
    return tried + 1


def _new_data(project: AnnotationProject, jobs: dict[str, AssetJob]) -> dg.SensorDefinition:
    @dg.sensor(
        name=dagster_name(project, "new_data"),
        job=jobs["ingest"],
        minimum_interval_seconds=30,
        description="Looks for objects that no ingestion has seen and ingests, scores and ranks their days.",
    )
    def new_data(context: dg.SensorEvaluationContext, annotation_ops: dg.ResourceParam[Parts]) -> dg.SensorResult:
        found, cursor = new_objects(
            project,
            store=annotation_ops.store(project),
            since_cursor=context.cursor,
            limit=OBJECTS_A_TICK,
            today=annotation_ops.clock.now().date(),
        )
        wait = annotation_ops.settings.retry_after
        requests = [
            _ingestion(work, touched.day.isoformat(), 1, f"{touched.objects} objects, not all of them registered")
            for touched in found
            if not _runs_of(context.instance, work := f"ingest:{project.name}:{touched.day}:{touched.fingerprint}")
        ]
        requests += _failed_ingestions(context.instance, jobs["ingest"].name, wait)
        if not requests:
            return dg.SensorResult(skip_reason="no new object since the last look", cursor=cursor)
        return dg.SensorResult(run_requests=requests, cursor=cursor)

    return new_data


def _ingestion(work: str, day: str, number: int, why: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{work}:{number}", partition_key=day, tags={WORK_TAG: work, "annotation_ops/why": why}
    )


def _runs_of(instance: dg.DagsterInstance, work: str) -> int:
    return instance.get_runs_count(dg.RunsFilter(tags={WORK_TAG: work}))


def _failed_ingestions(instance: dg.DagsterInstance, job_name: str, first_wait: timedelta) -> list[dg.RunRequest]:
    """Days whose newest ingestion failed: the cursor has passed them, so nothing else would come back to them."""
    newest: dict[str, dg.DagsterRun] = {}
    for run in instance.get_runs(dg.RunsFilter(job_name=job_name), limit=FAILED_LOOKED_AT):
        if WORK_TAG in run.tags:
            newest.setdefault(run.tags["dagster/partition"], run)
    requests = []
    for day, run in newest.items():
        if run.status is dg.DagsterRunStatus.FAILURE:
            work = run.tags[WORK_TAG]
            number = _next_try(instance, work, first_wait)
            if number is not None:
                requests.append(_ingestion(work, day, number, f"run {run.run_id[:8]} failed"))
    return requests


def _degradation(project: AnnotationProject, jobs: dict[str, AssetJob]) -> dg.SensorDefinition:
    @dg.sensor(
        name=dagster_name(project, "degradation"),
        job=jobs["monitor"],
        minimum_interval_seconds=30,
        description="Looks for metrics logged to MLflow since the last look; the run it starts tests them for a degradation.",
    )
    def degradation(context: dg.SensorEvaluationContext, annotation_ops: dg.ResourceParam[Parts]) -> dg.SensorResult:
        cursor = annotation_ops.ledger.cursor(monitor.cursor_name(project.name))
        waiting = monitor.pending_observations(project, tracking=annotation_ops.tracking, cursor=cursor)
        if not waiting:
            return dg.SensorResult(skip_reason="no metric was logged since the last look")
        work = f"monitor:{project.name}:{content_key('monitor', project.name, cursor or '', str(waiting))[:12]}"
        number = _next_try(context.instance, work, annotation_ops.settings.retry_after)
        if number is None:
            return dg.SensorResult(
                skip_reason=f"{waiting} metric values wait: a run that reads them is under way, waiting to be tried "
                "again, or failed too often"
            )
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"{work}:{number}", tags={WORK_TAG: work})])

    return degradation


def _calibration(project: AnnotationProject, jobs: dict[str, AssetJob]) -> dg.SensorDefinition:
    @dg.sensor(
        name=dagster_name(project, "calibration"),
        job=jobs["calibrate"],
        minimum_interval_seconds=60,
        description="After every verdict, every change of a declared document and every midnight: looks where people stand and "
        "plans the calibrations that are due.",
    )
    def calibration(context: dg.SensorEvaluationContext, annotation_ops: dg.ResourceParam[Parts]) -> dg.SensorResult:
        cause = standings_cause(project, ledger=annotation_ops.ledger, now=annotation_ops.clock.now())
        work = f"calibrate:{project.name}:{cause[:12]}"
        done = dg.RunsFilter(tags={WORK_TAG: work}, statuses=[dg.DagsterRunStatus.SUCCESS])
        if context.instance.get_runs_count(done):
            return dg.SensorResult(skip_reason="nothing happened since the last look that could change a standing")
        number = _next_try(context.instance, work, annotation_ops.settings.retry_after)
        if number is None:
            return dg.SensorResult(skip_reason="a look is under way, waiting to be tried again, or failed too often")
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"{work}:{number}", tags={WORK_TAG: work})])

    return calibration


def _milestone(project: AnnotationProject, jobs: dict[str, AssetJob]) -> dg.SensorDefinition:
    @dg.sensor(
        name=dagster_name(project, "milestone"),
        job=jobs["dispatch"],
        minimum_interval_seconds=60,
        description="Looks for a new model version and has the published labels it stands on audited.",
    )
    def milestone(context: dg.SensorEvaluationContext, annotation_ops: dg.ResourceParam[Parts]) -> dg.SensorResult:
        key = due_milestone(project, ledger=annotation_ops.ledger, tracking=annotation_ops.tracking)
        if key is None:
            return dg.SensorResult(skip_reason="no model version whose labels are not audited yet")
        due = Due("dispatch", key, f"dispatch:{key}", "a new model version: all published labels are audited")
        request = _request(context.instance, project, due, annotation_ops.settings.retry_after)
        if request is None:
            return dg.SensorResult(skip_reason=f"{key}: running, waiting to be tried again, or failed too often")
        known = context.instance.get_dynamic_partitions(batches(project).name or "")
        additions = [batches(project).build_add_request([key])] if key not in known else []
        return dg.SensorResult(run_requests=[request], dynamic_partitions_requests=additions)

    return milestone


def _webhooks(project: AnnotationProject, jobs: dict[str, AssetJob]) -> dg.SensorDefinition:
    job = jobs["webhooks"]

    @dg.sensor(
        name=dagster_name(project, "webhooks"),
        job=job,
        minimum_interval_seconds=30,
        description="Looks for events that the declared endpoints are not told of yet, and for messages to be tried again.",
    )
    def webhooks(context: dg.SensorEvaluationContext, annotation_ops: dg.ResourceParam[Parts]) -> dg.SensorResult:
        work = due_work(project, ledger=annotation_ops.ledger, now=annotation_ops.clock.now())
        if work is None:
            return dg.SensorResult(skip_reason="every endpoint is told of everything it wants")
        # Every try makes other work of what is left, so one run at a time is told by the job.
        if context.instance.get_runs_count(dg.RunsFilter(job_name=job.name, statuses=UNFINISHED)):
            return dg.SensorResult(skip_reason="a run that sends messages is under way")
        number = _next_try(context.instance, work.key, annotation_ops.settings.retry_after, most=None)
        if number is None:
            return dg.SensorResult(skip_reason=f"{work.why}: a run failed and waits to be tried again")
        tags = {WORK_TAG: work.key, "annotation_ops/why": work.why[:200]}
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"{work.key}:{number}", tags=tags)])

    return webhooks

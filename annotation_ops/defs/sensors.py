"""Sensors: shells over pure decisions. They read and request; effects happen in runs."""

import json

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import dagster_name
from annotation_ops.defs.jobs import AssetJob
from annotation_ops.defs.partitions import batches
from annotation_ops.domain.conductor import Due, decide
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.records import content_key
from annotation_ops.services.arrivals import new_objects
from annotation_ops.services.monitor import pending_observations
from annotation_ops.services.status import loop_state

WORK_TAG = "annotation_ops/work"
"""Run tag with the content key of the work: how often it was tried is looked up by it."""

MAX_TRIES = 5
"""A piece of work that failed this often waits for a person; its runs are red in the UI."""

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
    return [*sensors, _degradation(project, jobs)] if project.monitor is not None else sensors


def _conductor(project: AnnotationProject, jobs: dict[str, AssetJob]) -> dg.SensorDefinition:
    stages = [name for name in ("dispatch", "collect", "judge", "publish", "train") if name in jobs]

    @dg.sensor(
        name=dagster_name(project, "conductor"),
        jobs=[jobs[name] for name in stages],
        minimum_interval_seconds=10,
        description="Turns what is due into runs: planned -> dispatch, complete -> judge, failed -> the next attempt, "
        "passed -> publish, new labels -> train.",
    )
    def conductor(context: dg.SensorEvaluationContext, annotation_ops: dg.ResourceParam[Parts]) -> dg.SensorResult:
        state = loop_state(project, ledger=annotation_ops.ledger)
        decision = decide(state, annotation_ops.clock.now(), collect_every=annotation_ops.settings.collect_every)
        requests = [
            request for due in decision.due if (request := _request(context.instance, project, due)) is not None
        ]
        if not requests:
            return dg.SensorResult(skip_reason=decision.idle or "everything that is due is running or failed too often")
        keys = [request.partition_key for request in requests if request.partition_key]
        known = set(context.instance.get_dynamic_partitions(batches(project).name or ""))
        fresh = [key for key in dict.fromkeys(keys) if key not in known]
        additions = [batches(project).build_add_request(fresh)] if fresh else []
        return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=additions)

    return conductor


def _request(instance: dg.DagsterInstance, project: AnnotationProject, due: Due) -> dg.RunRequest | None:
    """A run request for due work, numbered by its tries; None while a run of it is under way or after MAX_TRIES."""
    of_work = dg.RunsFilter(tags={WORK_TAG: due.run_key})
    if instance.get_runs_count(dg.RunsFilter(tags={WORK_TAG: due.run_key}, statuses=UNFINISHED)):
        return None
    tries = instance.get_runs_count(of_work)
    if tries >= MAX_TRIES:
        return None
    return dg.RunRequest(
        run_key=f"{due.run_key}:{tries + 1}",
        job_name=dagster_name(project, due.stage),
        partition_key=due.key or None,
        tags={WORK_TAG: due.run_key, "annotation_ops/why": due.why[:200]},
    )


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
        if not found:
            return dg.SensorResult(skip_reason="no new object since the last look", cursor=cursor)
        requests = [
            dg.RunRequest(
                run_key=f"ingest:{touched.day}:{touched.fingerprint}",
                partition_key=touched.day.isoformat(),
                tags={"annotation_ops/why": f"{touched.objects} objects, not all of them registered"},
            )
            for touched in found
        ]
        return dg.SensorResult(run_requests=requests, cursor=cursor)

    return new_data


def _degradation(project: AnnotationProject, jobs: dict[str, AssetJob]) -> dg.SensorDefinition:
    @dg.sensor(
        name=dagster_name(project, "degradation"),
        job=jobs["monitor"],
        minimum_interval_seconds=30,
        description="Looks for metrics logged to MLflow since the last look; the run it starts tests them for a degradation.",
    )
    def degradation(annotation_ops: dg.ResourceParam[Parts]) -> dg.SensorResult:
        cursor = annotation_ops.ledger.cursor(f"monitor:{project.name}")
        waiting = pending_observations(project, tracking=annotation_ops.tracking, cursor=cursor)
        if not waiting:
            return dg.SensorResult(skip_reason="no metric was logged since the last look")
        content = content_key("monitor", project.name, cursor or "", str(waiting))[:12]
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=f"monitor:{content}")], cursor=json.dumps({"waiting": waiting})
        )

    return degradation

"""Jobs: what a sensor, a schedule or a person starts.

All of them run in process: their steps are short, a multiprocess step costs about twenty times as much, and killing the
run then kills the step, so no zombie writes beside a retry.
"""

from collections.abc import Mapping
from typing import TypeAlias

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import dagster_name, key
from annotation_ops.defs.partitions import batches
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.collect import collect
from annotation_ops.services.deliver import deliver_due, enqueue
from annotation_ops.services.overlap import top_up_attempt

AssetJob: TypeAlias = "dg.JobDefinition | dg.UnresolvedAssetJobDefinition"

IN_PROCESS = dg.in_process_executor

STAGES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "ingest": (
        ("raw_samples", "predictions", "ranked_samples"),
        "Registers a day's objects, scores the pool and ranks it.",
    ),
    "dispatch": (("annotation_batches",), "Plans a batch attempt and sends its tasks to people."),
    "judge": (
        ("annotations", "qa_passed_labels"),
        "Judges a complete batch attempt; the run turns red when the batch is rejected. Over past attempts: what today's "
        "criteria would say, beside the recorded verdicts; nothing is overwritten.",
    ),
    "publish": (("label_features",), "Publishes a batch that passed, or a late correction of one."),
    "calibrate": (
        ("annotators",),
        "Looks where every annotator stands and plans the calibrations that are due; the conductor sends them.",
    ),
    "report": (("project_report",), "Writes the HTML report on the whole project."),
    "train": (("trained_model",), "Starts the declared training on the newest label commit."),
    "monitor": (("model_performance",), "Reads new metrics and opens at most one incident per cause."),
}


def build(project: AnnotationProject) -> dict[str, AssetJob]:
    """Stage name -> its job, named `<project>_<stage>`."""
    jobs: dict[str, AssetJob] = {
        stage: dg.define_asset_job(
            dagster_name(project, stage),
            selection=[key(project, name) for name in names],
            description=description,
            executor_def=IN_PROCESS,
            tags={"annotation_ops/project": project.name, "annotation_ops/stage": stage},
        )
        for stage, (names, description) in STAGES.items()
        if project.monitor is not None or stage not in {"train", "monitor"}
    }
    jobs["collect"] = _collect_job(project)
    jobs["top_up"] = _top_up_job(project)
    if project.webhooks is not None:
        jobs["webhooks"] = _webhooks_job(project)
    return jobs


def _collect_job(project: AnnotationProject) -> dg.JobDefinition:
    @dg.op(name=dagster_name(project, "collect_annotations"), out=dg.Out(dg.Nothing))
    def collect_annotations(context: dg.OpExecutionContext, annotation_ops: dg.ResourceParam[Parts]) -> None:
        report = collect(
            project,
            ledger=annotation_ops.ledger,
            lake=annotation_ops.lake,
            platform=annotation_ops.platform(project),
            now=annotation_ops.clock.now(),
            sweep_every=annotation_ops.settings.sweep_every,
        )
        if report.healed is not None:
            context.log.info(f"full sweep: {report.healed.recreated} lost tasks, {report.healed.withdrawn} duplicates")
        context.log.info(
            f"{report.collected} new annotations, {report.repeated} seen before, quarantined: {report.quarantined or 'none'}; "
            f"complete: {', '.join(report.completed) or 'none'}; overdue: {', '.join(report.overdue) or 'none'}"
        )

    @dg.job(
        name=dagster_name(project, "collect"),
        description="Collects what people did since the last time, for every open batch.",
        executor_def=IN_PROCESS,
        tags={"annotation_ops/project": project.name, "annotation_ops/stage": "collect"},
    )
    def collect_job() -> None:
        collect_annotations()

    return collect_job


def _top_up_job(project: AnnotationProject) -> dg.JobDefinition:
    @dg.op(name=dagster_name(project, "top_up_overlap"), out=dg.Out(dg.Nothing))
    def top_up_overlap(context: dg.OpExecutionContext, annotation_ops: dg.ResourceParam[Parts]) -> None:
        report = top_up_attempt(
            project,
            context.partition_key,
            ledger=annotation_ops.ledger,
            lake=annotation_ops.lake,
            platform=annotation_ops.platform(project),
            now=annotation_ops.clock.now(),
        )
        context.log.info(f"{report.key}: {report.judgements} further judgements asked for, now {report.state.value}")

    @dg.job(
        name=dagster_name(project, "top_up"),
        description="Asks for the further judgements that an unsettled verdict ordered.",
        executor_def=IN_PROCESS,
        partitions_def=batches(project),
        tags={"annotation_ops/project": project.name, "annotation_ops/stage": "top_up"},
    )
    def top_up_job() -> None:
        top_up_overlap()

    return top_up_job


def _webhooks_job(project: AnnotationProject) -> dg.JobDefinition:
    @dg.op(name=dagster_name(project, "deliver_webhooks"), out=dg.Out(dg.Nothing))
    def deliver_webhooks(context: dg.OpExecutionContext, annotation_ops: dg.ResourceParam[Parts]) -> None:
        added = enqueue(project, ledger=annotation_ops.ledger, now=annotation_ops.clock.now())
        report = deliver_due(
            project,
            ledger=annotation_ops.ledger,
            sender=annotation_ops.webhooks,
            secrets=annotation_ops.secret,
            clock=annotation_ops.clock,
            owner=context.run_id,
        )
        if report.busy:
            context.log.info(f"{added} new messages; another run is sending them")
            return
        context.log.info(
            f"{added} new messages; {len(report.delivered)} delivered, {len(report.put_off)} to be tried again, "
            f"{len(report.disabled)} to disabled endpoints"
        )
        if report.failed:
            context.log.warning(f"every try is used up: {', '.join(report.failed)}; see `annotation-ops webhooks list`")

    @dg.job(
        name=dagster_name(project, "webhooks"),
        description="Tells the declared endpoints what happened since the last time, and tries again what is due.",
        executor_def=IN_PROCESS,
        tags={"annotation_ops/project": project.name, "annotation_ops/stage": "webhooks"},
    )
    def webhooks_job() -> None:
        deliver_webhooks()

    return webhooks_job

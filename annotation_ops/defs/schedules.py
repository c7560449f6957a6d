"""Schedules: the daily ingestion, for stores that nobody watches, and the nightly report."""

import dagster as dg

from annotation_ops.defs.declared import dagster_name
from annotation_ops.defs.jobs import AssetJob
from annotation_ops.defs.partitions import days
from annotation_ops.domain.project.annotation_project import AnnotationProject


def build(project: AnnotationProject, jobs: dict[str, AssetJob]) -> list[dg.ScheduleDefinition]:
    @dg.schedule(
        job=jobs["ingest"],
        cron_schedule="15 0 * * *",
        name=dagster_name(project, "daily_ingest"),
        execution_timezone="UTC",
        description="Every night at 00:15 UTC: yesterday, complete, and today's partition opened.",
    )
    def daily_ingest(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        opened = days(project).get_partition_keys(context.scheduled_execution_time)
        return [dg.RunRequest(run_key=day, partition_key=day) for day in opened[-2:-1]]

    daily_report = dg.ScheduleDefinition(
        name=dagster_name(project, "daily_report"),
        job=jobs["report"],
        cron_schedule="45 0 * * *",
        execution_timezone="UTC",
        description="Every night at 00:45 UTC: the HTML report on the whole project.",
    )

    return [daily_ingest, daily_report]

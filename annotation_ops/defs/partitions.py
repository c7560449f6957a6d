"""Partitions: days for data, batch attempts for people's work."""

import dagster as dg

from annotation_ops.defs.declared import dagster_name
from annotation_ops.domain.project.annotation_project import AnnotationProject


def days(project: AnnotationProject) -> dg.DailyPartitionsDefinition:
    """Daily, UTC, from the project's first day up to and including today."""
    return dg.DailyPartitionsDefinition(start_date=project.sources.raw.start.isoformat(), end_offset=1)


def batches(project: AnnotationProject) -> dg.DynamicPartitionsDefinition:
    """One partition a batch attempt: `2026-11-23-active-01.a1`."""
    return dg.DynamicPartitionsDefinition(name=dagster_name(project, "batches"))

"""The factory: everything Dagster knows of one annotation project, ready for any code location."""

import warnings

import dagster as dg

from annotation_ops.defs import (
    annotation_batches,
    annotations,
    annotators,
    jobs,
    label_features,
    model_performance,
    predictions,
    project_report,
    qa_passed_labels,
    ranked_samples,
    raw_samples,
    schedules,
    sensors,
    trained_model,
)
from annotation_ops.domain.project.annotation_project import AnnotationProject

# Dagster passes `owners` itself when it binds a sensor's jobs to resources, and warns us of it.
warnings.filterwarnings("ignore", "Parameter `owners` of initializer `SensorDefinition", dg.BetaWarning)

PIPELINE = (
    raw_samples,
    predictions,
    ranked_samples,
    annotation_batches,
    annotations,
    qa_passed_labels,
    label_features,
)
PEOPLE = (annotators,)
REPORTING = (project_report,)
AFTER_PUBLISHING = (trained_model, model_performance)
"""Only for a project that declares a monitor."""


def annotation_project_definitions(project: AnnotationProject) -> dg.Definitions:
    """Assets, checks, jobs, schedules and sensors of one annotation project.

    Needs one resource, `annotation_ops`: `annotation_ops.defs.resources.AnnotationOps()` or a `Parts`. Merge it into
    your own code location:

        defs = dg.Definitions.merge(
            annotation_project_definitions(load_project(Path("annotation/invoices"))),
            dg.Definitions(resources={"annotation_ops": AnnotationOps()}),
            your_definitions,
        )
    """
    modules = PIPELINE + PEOPLE + REPORTING + (AFTER_PUBLISHING if project.monitor is not None else ())
    project_jobs = jobs.build(project)
    return dg.Definitions(
        assets=[module.build(project) for module in modules],
        jobs=list(project_jobs.values()),
        schedules=schedules.build(project, project_jobs),
        sensors=sensors.build(project, project_jobs),
    )

"""The one Definitions object: every annotation project under the projects folder, mounted on this deployment's parts."""

import os

import dagster as dg

from annotation_ops.adapters.project_folder import find_projects, load_project
from annotation_ops.defs.mount import annotation_project_definitions
from annotation_ops.defs.resources import AnnotationOps
from annotation_ops.settings import Settings

PROJECTS = tuple(load_project(folder) for folder in find_projects(Settings.from_environment(os.environ).projects))

defs = dg.Definitions.merge(
    *(annotation_project_definitions(project) for project in PROJECTS),
    dg.Definitions(resources={"annotation_ops": AnnotationOps()}),
)

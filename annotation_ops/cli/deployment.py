"""What commands share that talk to the deployment: its parts and its projects, from the environment."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from annotation_ops.adapters.project_folder import find_projects, load_project
from annotation_ops.bootstrap import Parts, build
from annotation_ops.domain.access import Permission
from annotation_ops.domain.errors import NotFound
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.access import acting
from annotation_ops.settings import Settings


@contextmanager
def deployment() -> Iterator[Parts]:
    """The deployment the environment names, closed at the end."""
    parts = build(Settings.from_environment(os.environ))
    try:
        yield parts
    finally:
        parts.close()


def declared_projects(parts: Parts) -> tuple[AnnotationProject, ...]:
    """Every project under the projects folder. Raises NotFound when there is none, InvalidDocument for faults."""
    folders = find_projects(parts.settings.projects)
    if not folders:
        raise NotFound(
            f"{parts.settings.projects}: found no annotation project, expected a folder with contract.yaml in it; "
            f"make one with `annotation-ops init` or set ANNOTATION_OPS_PROJECTS"
        )
    return tuple(load_project(folder) for folder in folders)


def named_project(parts: Parts, name: str) -> AnnotationProject:
    """One project by name. Raises NotFound naming those that exist."""
    projects = {project.name: project for project in declared_projects(parts)}
    if name not in projects:
        raise NotFound(f"project {name!r}: not found, expected one of {', '.join(projects)}")
    return projects[name]


def acting_person(parts: Parts, permission: Permission, login: str) -> str:
    """The name of whoever acts: of the token in ANNOTATION_OPS_TOKEN, or `login` while no token was ever issued.

    Raises NotAuthenticated and NotPermitted.
    """
    return acting(parts.settings.access_token, login, permission, ledger=parts.ledger, now=parts.clock.now())

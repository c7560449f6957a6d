"""What every route of the service works on."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request

from annotation_ops.bootstrap import Parts
from annotation_ops.domain.errors import NotFound
from annotation_ops.domain.project.annotation_project import AnnotationProject


@dataclass(frozen=True, slots=True)
class Deployment:
    parts: Parts
    projects: Mapping[str, AnnotationProject]

    def project(self, name: str) -> AnnotationProject:
        """Raises NotFound."""
        if name not in self.projects:
            raise NotFound(f"found no annotation project {name!r}")
        return self.projects[name]


def served(request: Request) -> Deployment:
    """The deployment behind a request."""
    deployment: Deployment = request.app.state.deployment
    return deployment

"""The service: one FastAPI application over the parts of a deployment."""

from collections.abc import Collection, Mapping

from fastapi import FastAPI

from annotation_ops import __version__
from annotation_ops.bootstrap import Parts
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.doorbell import ring
from annotation_ops.web.inbox import inbox
from annotation_ops.web.limits import BodyLimits


def create_service(parts: Parts, projects: Mapping[str, AnnotationProject], *, secrets: Collection[str]) -> FastAPI:
    """The application; `secrets` are those that webhooks may carry."""

    def store(names: Collection[str]) -> None:
        ring(names, ledger=parts.ledger, now=parts.clock.now())

    service = FastAPI(title="annotation-ops", version=__version__, docs_url=None, redoc_url=None)
    service.add_middleware(BodyLimits)
    service.include_router(inbox(projects, secrets, store))
    return service

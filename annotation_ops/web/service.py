"""The service: one FastAPI application over the parts of a deployment."""

import json
from collections.abc import Collection, Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from annotation_ops import __version__
from annotation_ops.bootstrap import Parts
from annotation_ops.domain.errors import (
    AnnotationOpsError,
    Conflict,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    PermanentError,
    TransientError,
)
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.doorbell import ring
from annotation_ops.web.api import api, permission_of
from annotation_ops.web.deployment import Deployment
from annotation_ops.web.documents import Health
from annotation_ops.web.inbox import inbox
from annotation_ops.web.limits import BodyLimits

STATUS: tuple[tuple[type[AnnotationOpsError], HTTPStatus], ...] = (
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED),
    (NotPermitted, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (TransientError, HTTPStatus.SERVICE_UNAVAILABLE),
    (PermanentError, HTTPStatus.UNPROCESSABLE_ENTITY),
)
"""What an error is over HTTP; the first that fits."""


def create_service(parts: Parts, projects: Mapping[str, AnnotationProject], *, secrets: Collection[str]) -> FastAPI:
    """The application; `secrets` are those that webhooks may carry. Raises TypeError for a route that names no permission."""
    for route in api.routes:
        if not isinstance(route, APIRoute) or permission_of(route) is None:
            raise TypeError(
                f"{route}: found no permission, expected one; a route that names none would be open to everybody"
            )

    def store(names: Collection[str]) -> None:
        ring(names, ledger=parts.ledger, now=parts.clock.now())

    service = FastAPI(title="annotation-ops", version=__version__, docs_url=None, redoc_url=None)
    service.state.deployment = Deployment(parts, projects)
    service.add_middleware(BodyLimits)
    service.add_exception_handler(AnnotationOpsError, _answer)
    service.add_exception_handler(RequestValidationError, _refuse)
    service.include_router(inbox(projects, secrets, store))
    service.include_router(api)

    @service.get("/health", tags=["service"])
    def health() -> Health:
        """That the service runs; needs no token and says nothing about the data."""
        return Health(version=__version__)

    return service


def _refuse(_: Request, error: Exception) -> Response:
    """What is wrong and where, without the input: it may hold what no JSON can say (NaN, half of a character)."""
    assert isinstance(error, RequestValidationError)
    detail = [{name: one[name] for name in ("type", "loc", "msg")} for one in error.errors()]
    text = json.dumps({"detail": detail}, default=str)
    return Response(text, status_code=HTTPStatus.UNPROCESSABLE_ENTITY, media_type="application/json")


def _answer(_: Request, error: Exception) -> JSONResponse:
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    headers = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else None
    return JSONResponse({"detail": str(error)}, status_code=status, headers=headers)

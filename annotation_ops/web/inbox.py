"""The webhook inbox: a platform rings, the doorbell is stored, the answer is 204. What it says besides is not read."""

import asyncio
import hmac
from collections.abc import Callable, Collection

from fastapi import APIRouter, HTTPException, Request, Response, status

from annotation_ops.adapters.platforms.label_studio.webhooks import SECRET_HEADER
from annotation_ops.domain.errors import AnnotationOpsError

LONGEST_WAIT = 0.5
"""Seconds. Label Studio keeps its annotator waiting for our answer, and hangs up after one second."""


class Ringer:
    """Stores rings; those that come while one is being stored share the next write."""

    def __init__(self, store: Callable[[Collection[str]], None]) -> None:
        self._store = store
        self._waiting: set[str] = set()
        self._next: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()

    async def ring(self, project: str) -> None:
        """Returns when the ring is stored; raises what storing raises."""
        self._waiting.add(project)
        if self._next is None:
            self._next = asyncio.create_task(self._write())
        await asyncio.shield(self._next)

    async def _write(self) -> None:
        async with self._writing:
            projects, self._waiting, self._next = self._waiting, set(), None
            await asyncio.to_thread(self._store, projects)


def inbox(projects: Collection[str], secrets: Collection[str], store: Callable[[Collection[str]], None]) -> APIRouter:
    """The route webhooks are sent to. While a secret is changed, both the old and the new one are taken."""
    router = APIRouter(tags=["webhooks"])
    ringer = Ringer(store)

    @router.post(
        "/hooks/label-studio/{project}",
        status_code=status.HTTP_204_NO_CONTENT,
        responses={
            401: {"description": f"no or another secret in {SECRET_HEADER}"},
            404: {"description": "no such annotation project"},
            503: {"description": "the ledger is busy or down; what happened is found by the next collection"},
        },
    )
    async def ring(project: str, request: Request) -> Response:
        """Says that something happened on the platform: work in people's hands is collected soon. The body is ignored."""
        given = request.headers.get(SECRET_HEADER, "").encode()
        # Every secret is compared, so that the time taken tells nothing.
        fits = [hmac.compare_digest(given, secret.encode()) for secret in secrets]
        if not any(fits):
            raise HTTPException(status.HTTP_401_UNAUTHORIZED, f"found no valid secret in {SECRET_HEADER}")
        if project not in projects:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"found no annotation project {project!r}")
        try:
            await asyncio.wait_for(ringer.ring(project), LONGEST_WAIT)
        except (TimeoutError, AnnotationOpsError):
            raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, "the ring could not be stored in time") from None
        return Response(status_code=status.HTTP_204_NO_CONTENT)

    return router

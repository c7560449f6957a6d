"""What a request may cost before anybody knows who sent it."""

import asyncio
from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES = 1 << 20
"""Largest body taken; a webhook of ours carries none, a decision carries a sentence."""

BODY_SECONDS = 5.0
"""Longest a body may take to arrive."""


class BodyLimits:
    """Reads the whole body first, within both limits, and answers 413 or 408 when one is passed; the service sees only whole bodies."""

    def __init__(self, app: ASGIApp, *, most_bytes: int = BODY_BYTES, seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(self._read(receive), self._seconds)
        except TimeoutError:
            await _refuse(
                HTTPStatus.REQUEST_TIMEOUT, f"the body took longer than {self._seconds:g} s", scope, receive, send
            )
            return
        if body is None:
            limit = f"the body is larger than {self._most_bytes:,} bytes"
            await _refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, limit, scope, receive, send)
            return
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, replay, send)

    async def _read(self, receive: Receive) -> bytes | None:
        """None when it is too large."""
        parts, size = [], 0
        while True:
            message = await receive()
            part = message.get("body", b"")
            size += len(part)
            if size > self._most_bytes:
                return None
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


async def _refuse(status: HTTPStatus, detail: str, scope: Scope, receive: Receive, send: Send) -> None:
    # The rest of the body is not read, so the connection cannot be used again.
    answer = JSONResponse({"detail": detail}, status_code=status, headers={"Connection": "close"})
    await answer(scope, receive, send)

"""The HTTP side of Label Studio: one call, one answer or one classified error. Nothing is retried here."""

from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx

from annotation_ops.domain.errors import Conflict, InvalidInput, NotFound, PermanentError, TransientError
from annotation_ops.domain.records import JsonObject

Json: TypeAlias = Any

TIMEOUT = httpx.Timeout(120.0, connect=5.0)
"""An import of a thousand tasks takes seconds; two minutes are a server that hangs."""

SHOWN = 300
"""Characters of the server's own words in an error."""


class TokenAuth(httpx.Auth):
    """A legacy token as it is; a personal access token (a JWT) is traded for access tokens of five minutes."""

    requires_response_body = True

    def __init__(self, token: str, base_url: str) -> None:
        self._token = token
        self._access = ""
        self._refresh = httpx.URL(base_url).join("/api/token/refresh/")

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._token.count(".") != 2:
            request.headers["Authorization"] = f"Token {self._token}"
            yield request
            return
        if self._access:
            request.headers["Authorization"] = f"Bearer {self._access}"
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED:
                return
        traded = yield httpx.Request("POST", self._refresh, json={"refresh": self._token})
        self._access = traded.json().get("access", "") if traded.is_success else ""
        request.headers["Authorization"] = f"Bearer {self._access}"
        yield request


class LabelStudioClient:
    """Raises TransientError for what may pass (network, time-outs, 408, 429, 5xx), InvalidInput for a refused token or body,
    NotFound and Conflict as the server says. Words of the server are quoted shortened; tokens never are."""

    def __init__(self, base_url: str, token: str, *, transport: httpx.BaseTransport | None = None) -> None:
        if urlsplit(base_url).scheme not in ("http", "https"):
            raise InvalidInput(f"Label Studio's address: found {base_url!r}, expected e.g. https://labels.example.com")
        self.base_url = base_url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.base_url, auth=TokenAuth(token, self.base_url), timeout=TIMEOUT, transport=transport
        )
        self.server_time: datetime | None = None
        """The server's clock as of its last answer, to the second."""

    def get(self, path: str, **parameters: str | int) -> Json:
        return self._call("GET", path, params=parameters)

    def post(self, path: str, body: JsonObject | Sequence[JsonObject], **parameters: str | int) -> Json:
        return self._call("POST", path, params=parameters, json=body)

    def patch(self, path: str, body: JsonObject) -> Json:
        return self._call("PATCH", path, json=body)

    def delete(self, path: str) -> None:
        self._call("DELETE", path)

    def pages(self, path: str, *, size: int = 1000, **parameters: str | int) -> list[Json]:
        """Every row of a listing; both shapes of Label Studio: a plain list, and pages with `results` and `next`."""
        rows: list[Json] = []
        number = 1
        while True:
            page = self.get(path, page=number, page_size=size, **parameters)
            if isinstance(page, list):
                return page
            rows += page["results"]
            if not page.get("next"):
                return rows
            number += 1

    def close(self) -> None:
        self._http.close()

    def _call(self, method: str, path: str, **arguments: Any) -> Json:
        return self._json(self._send(method, path, **arguments))

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise TransientError(
                f"{method} {self.base_url}{path}: no answer from Label Studio ({type(error).__name__}: {error}); "
                f"is the server up? The call is tried again later"
            ) from error
        self.server_time = _clock(response.headers)
        if not response.is_success:
            raise self._fault(method, path, response)
        return response

    def _json(self, response: httpx.Response) -> Json:
        if response.status_code == httpx.codes.NO_CONTENT or not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise TransientError(
                f"{response.request.url.path}: found {response.headers.get('content-type', 'no type')} from "
                f"{self.base_url}, expected JSON; something between us and Label Studio answered instead"
            ) from error

    def _fault(self, method: str, path: str, response: httpx.Response) -> Exception:
        said = f"{method} {self.base_url}{path}: Label Studio answered {response.status_code}: {_words(response)}"
        match response.status_code:
            case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
                return InvalidInput(
                    f"{said}. Give a valid token in ANNOTATION_OPS_LABEL_STUDIO_TOKEN; legacy tokens must be enabled on the server"
                )
            case httpx.codes.NOT_FOUND:
                return NotFound(said)
            case httpx.codes.CONFLICT:
                return Conflict(said)
            case httpx.codes.REQUEST_TIMEOUT | httpx.codes.TOO_MANY_REQUESTS:
                return TransientError(said)
            case code if code >= 500:
                return TransientError(said)
            case httpx.codes.BAD_REQUEST | httpx.codes.UNPROCESSABLE_ENTITY | httpx.codes.REQUEST_ENTITY_TOO_LARGE:
                return InvalidInput(said)
            case _:
                return PermanentError(said)


def _words(response: httpx.Response) -> str:
    try:
        document = response.json()
    except ValueError:
        return f"({response.headers.get('content-type', 'no type')})"
    if isinstance(document, dict):
        document = document.get("validation_errors") or document.get("detail") or document
    return " ".join(str(document).split())[:SHOWN]


def _clock(headers: Mapping[str, str]) -> datetime | None:
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None

"""A client of one MLflow server or database that fails in this package's words, and soon when nobody is there.

MLflow's own time limits (`MLFLOW_HTTP_REQUEST_TIMEOUT` 120 s, `MLFLOW_HTTP_REQUEST_MAX_RETRIES` 7 with back-off: minutes for
a dead server) are settings of the process, so no library call changes them. Instead each use first asks whether
anything answers, within 5 s; a server that dies between that and the call is left to MLflow's limits.
"""

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from annotation_ops.domain.errors import AnnotationOpsError, NotFound, PermanentError, TransientError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

ANSWER_SECONDS = 5.0
"""A server under load answers `/health` in under 1 s; a sensor tick has 60 s."""

_GATEWAY_FAULTS = frozenset({502, 503, 504})
"""A proxy speaks for a server that does not. Any other status means that the server itself answered."""

_PASSING = frozenset(
    {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED", "ABORTED", "IO_ERROR"}
)
_MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"})


class MlflowConnection:
    """`tracking_uri` as MLflow takes it: `http(s)://...`, `sqlite:///...`, `postgresql://...`."""

    def __init__(self, tracking_uri: str, registry_uri: str | None = None) -> None:
        self.tracking_uri = tracking_uri
        self.registry_uri = registry_uri or tracking_uri

    @property
    def shown(self) -> str:
        """The tracking address without credentials."""
        parts = urlsplit(self.tracking_uri)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def _without_credentials(self, text: str) -> str:
        """MLflow's own messages quote the address as it was given."""
        secret, mark, _ = urlsplit(self.tracking_uri).netloc.rpartition("@")
        return text.replace(secret + mark, "") if mark else text

    @contextmanager
    def client(self) -> Iterator["MlflowClient"]:
        """A client without global state. Errors inside become TransientError, NotFound or PermanentError."""
        self._ask()
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            yield MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.registry_uri)
        except MlflowException as error:
            raise self._fault(error) from error
        except (ConnectionError, TimeoutError) as error:
            raise self._silent(error) from error

    def _ask(self) -> None:
        if urlsplit(self.tracking_uri).scheme not in {"http", "https"}:
            return
        try:
            with urllib.request.urlopen(f"{self.shown.rstrip('/')}/health", timeout=ANSWER_SECONDS):
                return
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _GATEWAY_FAULTS:
                    raise self._silent(error) from error
        except (OSError, ValueError, HTTPException) as error:
            # A certificate that Python refuses may be one that MLflow was told to accept.
            if not isinstance(getattr(error, "reason", error), ssl.SSLError):
                raise self._silent(error) from error

    def _silent(self, error: Exception) -> TransientError:
        return TransientError(
            f"MLflow at {self.shown} did not answer ({self._without_credentials(str(error))}), expected a server. Start it, or set MLFLOW_TRACKING_URI."
        )

    def _fault(self, error: "MlflowException") -> AnnotationOpsError:
        if error.error_code in _PASSING:
            return self._silent(error)
        if error.error_code in _MISSING:
            return NotFound(f"MLflow at {self.shown}: {self._without_credentials(error.message)}")
        message = self._without_credentials(error.message)
        return PermanentError(f"MLflow at {self.shown} refused ({error.error_code}): {message}")

"""Sending one message to one endpoint."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint said; its body is never kept."""

    status: int
    seconds: float
    """From the first step (finding the address) to the end of the answer."""
    retry_after: timedelta | None = None


class WebhookSender(ABC):
    @abstractmethod
    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POSTs the body once; a redirect is an answer like any other and is not followed.

        Raises TransientError when there was no whole answer in time, UnsafeInput when the address leads where no message may
        go, InvalidInput for what is no address. No text of an error holds the URL's path, a header or the body.
        """

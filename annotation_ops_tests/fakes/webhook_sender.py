"""A sender in memory: what it was given is kept, what it answers is scripted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from annotation_ops.domain.errors import TransientError
from annotation_ops.ports.webhook_sender import Answer, WebhookSender


@dataclass(frozen=True, slots=True)
class Sent:
    url: str
    headers: Mapping[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class MemorySender(WebhookSender):
    """`answers`: by URL, the statuses to give in turn, the last for ever; 0 is no answer. 204 for other URLs."""

    def __init__(
        self,
        answers: Mapping[str, tuple[int, ...]] | None = None,
        *,
        retry_after: timedelta | None = None,
        on_send: Callable[[], object] | None = None,
    ) -> None:
        self._answers = {url: list(statuses) for url, statuses in (answers or {}).items()}
        self._retry_after = retry_after
        self._on_send = on_send
        self._sent: list[Sent] = []

    @property
    def sent(self) -> tuple[Sent, ...]:
        return tuple(self._sent)

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self._sent.append(Sent(url, dict(headers), body.decode()))
        if self._on_send is not None:
            self._on_send()
        waiting = self._answers.get(url, [204])
        status = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if status == 0:
            raise TransientError("the endpoint is away")
        return Answer(status, 0.1, self._retry_after)

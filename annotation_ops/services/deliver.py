"""Telling other systems what happened: the audit chain is the outbox, the delivery log says how every message fared.

Reading the chain and writing the log are one transaction, so no entry is lost or told as two messages. Sending lies between
transactions: after a crash the same message, with the same id, is sent again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from annotation_ops.domain.deliveries import (
    GONE,
    Delivery,
    DeliveryState,
    Work,
    after_try,
    decide,
    disabled,
    holds_the_others,
    is_accepted,
    new_delivery,
    put_back,
)
from annotation_ops.domain.errors import InvalidInput, NotFound, TransientError, UnsafeInput
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.webhooks import Endpoint
from annotation_ops.domain.records import SYSTEM_ACTOR, AuditEntry, content_key
from annotation_ops.domain.webhook_events import PING, message_body, public_event
from annotation_ops.ports.clock import Clock
from annotation_ops.ports.ledger import Ledger
from annotation_ops.ports.webhook_sender import Answer, WebhookSender
from annotation_ops.services.signing import signed_headers

PAGE = 1000
"""Audit entries read at a time: under 1 MB."""

AN_ENDPOINT = 100
"""Messages sent to one endpoint in one run, at most."""

LEASE_SECONDS = 120
"""Renewed before every message; one takes at most 15 s and the time to find an address."""

MOST_AT_ONCE = 10_000
"""Messages put back by one command: about 10 MB."""

RUN_TIME = timedelta(minutes=5)
"""No further message is begun after this; the next run goes on."""

NOT_DECLARED = "the project no longer declares this endpoint"
SAID_GONE = "the endpoint answered 410 Gone: it wants no more messages"

Secrets = Callable[[str], str | None]
"""Name of an environment variable -> what it holds."""


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """Message ids by what became of them in one run."""

    delivered: tuple[str, ...] = ()
    put_off: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    busy: bool = False
    """Another run is sending; nothing was done."""


@dataclass(frozen=True, slots=True)
class PingResult:
    message_id: str
    status: int | None
    seconds: float | None
    error: str
    """"" when the endpoint answered."""

    @property
    def accepted(self) -> bool:
        return is_accepted(self.status)


def cursor_name(project: str) -> str:
    return f"webhooks:{project}"


def _disabled_name(project: str, endpoint: str) -> str:
    return f"webhook_disabled:{project}:{endpoint}"


def _lease(project: str) -> str:
    return f"webhooks:{project}"


def _endpoints(project: AnnotationProject) -> tuple[Endpoint, ...]:
    return project.webhooks.endpoints if project.webhooks is not None else ()


def _endpoint(project: AnnotationProject, name: str) -> Endpoint:
    found = project.webhooks.named(name) if project.webhooks is not None else None
    if found is None:
        declared = ", ".join(endpoint.name for endpoint in _endpoints(project)) or "none: it declares no webhooks"
        raise NotFound(
            f"project {project.name}: found no endpoint {name[:80]!r}, expected one of webhooks.yaml ({declared})"
        )
    return found


def is_disabled(project: AnnotationProject, endpoint: Endpoint, *, ledger: Ledger) -> bool:
    """Whether it answered 410 since it was declared with this address and this secret's name, or was enabled."""
    return ledger.cursor(_disabled_name(project.name, endpoint.name)) == endpoint.key


def enqueue(project: AnnotationProject, *, ledger: Ledger, now: datetime) -> int:
    """Adds a message for every entry of the audit chain since the last time that an endpoint wants; returns how many are new.

    The first time nothing is added: what happened before webhooks were declared is told to nobody. For a disabled endpoint
    messages are added as disabled.
    """
    name = cursor_name(project.name)
    position = ledger.cursor(name)
    if position is None:
        with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
            tx.set_cursor(name, str(ledger.audit_head()))
        return 0
    off = {one.name for one in _endpoints(project) if is_disabled(project, one, ledger=ledger)}
    added, after = 0, int(position)
    while entries := ledger.audit_entries(after=after, limit=PAGE):
        messages = [
            disabled(message, why=SAID_GONE) if message.endpoint in off else message
            for entry in entries
            for message in _messages(project, entry, now=now)
        ]
        after = entries[-1].seq
        with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
            added += tx.add_deliveries(messages)
            tx.set_cursor(name, str(after))
    return added


def _messages(project: AnnotationProject, entry: AuditEntry, *, now: datetime) -> list[Delivery]:
    event = public_event(entry, project=project.name)
    if event is None:
        return []
    wanting = [endpoint for endpoint in _endpoints(project) if event.type in endpoint.events]
    return [new_delivery(entry, event, project=project.name, endpoint=one.name, at=now) for one in wanting]


def due_work(project: AnnotationProject, *, ledger: Ledger, now: datetime) -> Work | None:
    """What a run is due for, None for nothing; only reads."""
    position = ledger.cursor(cursor_name(project.name))
    unread = 0
    if position is not None:
        entries = ledger.audit_entries(after=int(position), limit=PAGE)
        wanted = [entry.seq for entry in entries if _messages(project, entry, now=now)]
        # A full page without a wanted entry is read past by a run, or every tick would read it again.
        unread = wanted[-1] if wanted else entries[-1].seq if len(entries) == PAGE else 0
    due = ledger.due_deliveries(project.name, at=now, limit=1)
    return decide(project.name, position=position, unread=unread, due=due[0] if due else None)


def deliver_due(
    project: AnnotationProject,
    *,
    ledger: Ledger,
    sender: WebhookSender,
    secrets: Secrets,
    clock: Clock,
    owner: str,
    limit: int = AN_ENDPOINT,
) -> DeliveryReport:
    """Sends what is due, the endpoints in turns, at most `limit` messages to each; one run at a time.

    An endpoint that does not answer, or asks to wait, is left alone for the rest of the run. The clock is asked before every
    message, as receivers refuse signatures that are more than five minutes old.
    """
    lease, began = _lease(project.name), clock.now()
    if ledger.acquire_lease(lease, owner, at=began, seconds=LEASE_SECONDS) is None:
        return DeliveryReport(busy=True)
    tried: list[Delivery] = []
    try:
        left_alone: set[str] = set()
        for delivery in ledger.due_deliveries(project.name, at=began, limit=limit):
            now = clock.now()
            late = now - began > RUN_TIME
            if late or ledger.acquire_lease(lease, owner, at=now, seconds=LEASE_SECONDS) is None:
                break
            if delivery.endpoint in left_alone:
                continue
            after = _try(project, delivery, ledger=ledger, sender=sender, secrets=secrets, clock=clock)
            tried.append(after)
            if holds_the_others(after):
                left_alone.add(delivery.endpoint)
    finally:
        ledger.release_lease(lease, owner)
    return _report(tried)


def _report(tried: Sequence[Delivery]) -> DeliveryReport:
    def ids(state: DeliveryState) -> tuple[str, ...]:
        return tuple(delivery.message_id for delivery in tried if delivery.state is state)

    return DeliveryReport(
        delivered=ids(DeliveryState.DELIVERED),
        put_off=ids(DeliveryState.PENDING),
        failed=ids(DeliveryState.FAILED),
        disabled=ids(DeliveryState.DISABLED),
    )


def _try(
    project: AnnotationProject,
    delivery: Delivery,
    *,
    ledger: Ledger,
    sender: WebhookSender,
    secrets: Secrets,
    clock: Clock,
) -> Delivery:
    """One try and what the log says of it."""
    endpoint = project.webhooks.named(delivery.endpoint) if project.webhooks is not None else None
    if endpoint is None or is_disabled(project, endpoint, ledger=ledger):
        after = disabled(delivery, why=NOT_DECLARED if endpoint is None else SAID_GONE)
        _record(after, ledger=ledger, at=clock.now())
        return after
    answer, error = _send(endpoint, delivery.message_id, delivery.body, at=clock.now(), sender=sender, secrets=secrets)
    at = clock.now()
    if answer is None:
        after = after_try(delivery, at=at, status=None, error=error)
    else:
        after = after_try(delivery, at=at, status=answer.status, error=_told(answer), retry_after=answer.retry_after)
    if answer is not None and answer.status == GONE:
        after = replace(after, last_error=SAID_GONE)
        _disable(project, endpoint, after, ledger=ledger, at=at)
    else:
        _record(after, ledger=ledger, at=at)
    return after


def _told(answer: Answer) -> str:
    return "" if is_accepted(answer.status) else f"the endpoint answered {answer.status}"


def _send(
    endpoint: Endpoint, message_id: str, body: str, *, at: datetime, sender: WebhookSender, secrets: Secrets
) -> tuple[Answer | None, str]:
    """The endpoint's answer, or None and why there is none. What a person must mend is an error of the try like any other:
    the schedule gives three days for it, and other endpoints are told meanwhile."""
    try:
        headers = signed_headers(
            message_id, at=at, body=body, secret=secrets(endpoint.secret_env), variable=endpoint.secret_env
        )
        return sender.send(endpoint.url, headers, body.encode()), ""
    except (TransientError, InvalidInput, UnsafeInput) as error:
        return None, str(error)


def _record(delivery: Delivery, *, ledger: Ledger, at: datetime) -> None:
    with ledger.transaction(actor=SYSTEM_ACTOR, at=at) as tx:
        tx.record_delivery(delivery)


def _disable(
    project: AnnotationProject, endpoint: Endpoint, delivery: Delivery, *, ledger: Ledger, at: datetime
) -> None:
    with ledger.transaction(actor=SYSTEM_ACTOR, at=at) as tx:
        tx.record_delivery(delivery)
        tx.set_cursor(_disabled_name(project.name, endpoint.name), endpoint.key)
        tx.audit(
            "webhook.disabled",
            f"{project.name}/{endpoint.name}",
            {"project": project.name, "endpoint": endpoint.name, "why": "gone", "message": delivery.message_id},
        )


def enable(project: AnnotationProject, name: str, *, actor: str, ledger: Ledger, now: datetime) -> bool:
    """Lets an endpoint that said 410 be told again from now on; False when it was not disabled. Raises NotFound."""
    endpoint = _endpoint(project, name)
    if not is_disabled(project, endpoint, ledger=ledger):
        return False
    with ledger.transaction(actor=f"person:{actor}", at=now) as tx:
        tx.set_cursor(_disabled_name(project.name, name), "")
        tx.audit("webhook.enabled", f"{project.name}/{name}", {"project": project.name, "endpoint": name})
    return True


def undelivered(project: AnnotationProject, *, ledger: Ledger) -> tuple[Delivery, ...]:
    """What failed or was disabled, of the endpoints that are told now; the newest MOST_AT_ONCE."""
    told = {one.name for one in _endpoints(project) if not is_disabled(project, one, ledger=ledger)}
    states = {DeliveryState.FAILED, DeliveryState.DISABLED}
    found = ledger.deliveries(project.name, states=states, limit=MOST_AT_ONCE)
    return tuple(delivery for delivery in found if delivery.endpoint in told)


def redeliver(
    project: AnnotationProject, deliveries: Sequence[Delivery], *, actor: str, ledger: Ledger, now: datetime
) -> None:
    """Makes the messages due again, with all their tries; each keeps its id. Raises NotFound for an endpoint that is not
    declared, and InvalidInput for one that is disabled."""
    for name in sorted({delivery.endpoint for delivery in deliveries}):
        if is_disabled(project, _endpoint(project, name), ledger=ledger):
            raise InvalidInput(
                f"project {project.name}, endpoint {name}: found it disabled ({SAID_GONE}), expected one that is told. "
                f"Run `annotation-ops webhooks enable {project.name} {name}`, or declare another address."
            )
    if not deliveries:
        return
    with ledger.transaction(actor=f"person:{actor}", at=now) as tx:
        for delivery in deliveries:
            tx.record_delivery(put_back(delivery, at=now))
        ids = [delivery.message_id for delivery in deliveries]
        tx.audit("webhook.redelivered", project.name, {"project": project.name, "messages": ids[:100], "n": len(ids)})


def ping(
    project: AnnotationProject, name: str, *, sender: WebhookSender, secrets: Secrets, now: datetime
) -> PingResult:
    """Sends one signed test message at once; it is in no log and is not tried again. Raises NotFound."""
    endpoint = _endpoint(project, name)
    message_id = f"msg_{content_key('ping', project.name, name, now.isoformat())}"
    body = message_body(PING, now.isoformat(), {"project": project.name, "endpoint": name})
    answer, error = _send(endpoint, message_id, body, at=now, sender=sender, secrets=secrets)
    if answer is None:
        return PingResult(message_id, None, None, error)
    return PingResult(message_id, answer.status, answer.seconds, "")

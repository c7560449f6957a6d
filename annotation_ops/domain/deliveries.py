"""Deliveries of webhook messages: when each is tried again, when it is done, when it is given up. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from annotation_ops.domain.records import AuditEntry, content_key
from annotation_ops.domain.webhook_events import PublicEvent

WAITS = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Before each try: the example schedule of the Standard Webhooks specification, ten tries in 75 h 35 min."""

MAX_TRIES = len(WAITS)

JITTER_PERCENT = 10
"""Each wait is up to this much longer, so that what failed together does not come back together."""

LONGEST_RETRY_AFTER = timedelta(hours=24)
"""What an endpoint may ask for at most; a slip of theirs must not park a message for a year."""

GONE = 410
"""The endpoint wants no more messages."""

ASKS_TO_WAIT = frozenset({429, 503})
"""Answers whose Retry-After counts."""

MAX_ERROR = 500
"""Characters of an error that are kept."""


class DeliveryState(StrEnum):
    PENDING = "pending"
    """To be tried at `next_try_at`."""
    DELIVERED = "delivered"
    FAILED = "failed"
    """Every try is used up; it can be redelivered by command."""
    DISABLED = "disabled"
    """Its endpoint answered 410, or is no longer declared; it can be redelivered by command."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one endpoint: a row of the delivery log."""

    message_id: str
    """`msg_<32 hex>` of project, endpoint and audit entry: sent again it is the same, so receivers know repetitions by it."""
    project: str
    endpoint: str
    event: str
    audit_seq: int
    body: str
    created_at: datetime
    next_try_at: datetime | None
    """None unless it is pending."""
    state: DeliveryState = DeliveryState.PENDING
    tries: int = 0
    last_status: int | None = None
    """HTTP status of the newest try; None before the first, and when there was no answer."""
    last_error: str = ""
    delivered_at: datetime | None = None


def message_id(project: str, endpoint: str, entry: AuditEntry) -> str:
    """The entry's hash is part of it: another deployment's ledger has entries of the same number."""
    return f"msg_{content_key('webhook', project, endpoint, str(entry.seq), entry.hash)}"


def new_delivery(entry: AuditEntry, event: PublicEvent, *, project: str, endpoint: str, at: datetime) -> Delivery:
    return Delivery(
        message_id(project, endpoint, entry), project, endpoint, event.type, entry.seq, event.body, at, next_try_at=at
    )


def wait_before(number: int, message: str) -> timedelta:
    """How long try `number` (1 to MAX_TRIES) comes after the one before, with a jitter that the message's id decides."""
    part = int(content_key("jitter", message, str(number))[:8], 16) / 2**32
    return WAITS[number - 1] * (1 + part * JITTER_PERCENT / 100)


def is_accepted(status: int | None) -> bool:
    return status is not None and 200 <= status <= 299


def after_try(
    delivery: Delivery, *, at: datetime, status: int | None, error: str = "", retry_after: timedelta | None = None
) -> Delivery:
    """The delivery after one more try ended at `at`: delivered (2xx), disabled (410), to be tried again, or failed."""
    tried = replace(
        delivery, tries=delivery.tries + 1, last_status=status, last_error=error[:MAX_ERROR], next_try_at=None
    )
    if is_accepted(status):
        return replace(tried, state=DeliveryState.DELIVERED, delivered_at=at)
    if status == GONE:
        return replace(tried, state=DeliveryState.DISABLED)
    if tried.tries >= MAX_TRIES:
        return replace(tried, state=DeliveryState.FAILED)
    wait = wait_before(tried.tries + 1, delivery.message_id)
    if status in ASKS_TO_WAIT and retry_after is not None:
        wait = max(wait, min(retry_after, LONGEST_RETRY_AFTER))
    return replace(tried, next_try_at=at + wait)


def holds_the_others(tried: Delivery) -> bool:
    """Whether the endpoint of a message that fared so is left alone for the rest of the run: it is away, or asks to wait."""
    return tried.state is not DeliveryState.DISABLED and (
        tried.last_status is None or tried.last_status in ASKS_TO_WAIT
    )


def disabled(delivery: Delivery, *, why: str) -> Delivery:
    return replace(delivery, state=DeliveryState.DISABLED, next_try_at=None, last_error=why)


def put_back(delivery: Delivery, *, at: datetime) -> Delivery:
    """Due at once, with all its tries before it."""
    return replace(delivery, state=DeliveryState.PENDING, tries=0, next_try_at=at, delivered_at=None)


@dataclass(frozen=True, slots=True)
class Work:
    """What a run is due for. `key` is made of content: the same situation asks for the same work."""

    key: str
    why: str


def decide(project: str, *, position: str | None, unread: int, due: Delivery | None) -> Work | None:
    """Whether a run is due, and why.

    `position` is the reading position in the audit chain (None: nothing was read yet), `unread` the newest entry after it that
    makes reading worthwhile (0: none), `due` the delivery that has waited longest for its time.
    """
    reasons = []
    if position is None:
        reasons.append("the audit chain is read from here on")
    elif unread:
        reasons.append(f"audit entries up to {unread} are not told yet")
    if due is not None:
        reasons.append(f"{due.event} to {due.endpoint} is due for try {due.tries + 1}")
    if not reasons:
        return None
    content = [position or "", str(unread)] + ([due.message_id, str(due.tries)] if due is not None else [])
    return Work(f"webhooks:{project}:{content_key(project, *content)[:12]}", "; ".join(reasons))

"""The delivery log of outbound webhooks in the ledger: its rows, what is read from it and written to it."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from annotation_ops.adapters.storage.ledger.codec import (
    microseconds,
    moment,
    optional_microseconds,
    optional_moment,
    text,
)
from annotation_ops.adapters.storage.ledger.insertion import AppendOnly, insert
from annotation_ops.adapters.storage.ledger.rows import Row
from annotation_ops.adapters.storage.ledger.tables import DELIVERIES
from annotation_ops.domain.deliveries import Delivery, DeliveryState
from annotation_ops.domain.errors import NotFound

LOG = AppendOnly(
    DELIVERIES,
    ("message_id",),
    # The body too: another version of this package may word the same event in another way, and the first wording stays.
    later=frozenset(
        {"body", "state", "tries", "next_try_at", "last_status", "last_error", "created_at", "delivered_at"}
    ),
)
CHANGED_BY_A_TRY = ("state", "tries", "next_try_at", "last_status", "last_error", "delivered_at")


def add(connection: Connection, deliveries: Sequence[Delivery]) -> int:
    return insert(connection, LOG, [_row(delivery) for delivery in deliveries])


def record(connection: Connection, delivery: Delivery) -> None:
    row = _row(delivery)
    values = {name: row[name] for name in CHANGED_BY_A_TRY}
    where = DELIVERIES.c.message_id == delivery.message_id
    if connection.execute(sa.update(DELIVERIES).where(where).values(values)).rowcount == 0:
        raise _unknown(delivery.message_id)


def one(connection: Connection, message_id: str) -> Delivery:
    row = connection.execute(sa.select(DELIVERIES).where(DELIVERIES.c.message_id == message_id)).mappings().first()
    if row is None:
        raise _unknown(message_id)
    return _delivery(row)


def newest(
    connection: Connection, project: str, states: Collection[DeliveryState] | None, limit: int
) -> tuple[Delivery, ...]:
    query = (
        sa.select(DELIVERIES)
        .where(DELIVERIES.c.project == project)
        .order_by(DELIVERIES.c.audit_seq.desc(), DELIVERIES.c.endpoint)
        .limit(limit)
    )
    if states is not None:
        query = query.where(DELIVERIES.c.state.in_(sorted(str(state) for state in states)))
    return tuple(map(_delivery, connection.execute(query).mappings()))


def due(connection: Connection, project: str, at: int, limit: int) -> tuple[Delivery, ...]:
    order = (DELIVERIES.c.next_try_at, DELIVERIES.c.audit_seq, DELIVERIES.c.message_id)
    turn = sa.func.row_number().over(partition_by=DELIVERIES.c.endpoint, order_by=order).label("turn")
    waiting = (
        sa.select(DELIVERIES, turn)
        .where(
            DELIVERIES.c.project == project,
            DELIVERIES.c.state == DeliveryState.PENDING.value,
            DELIVERIES.c.next_try_at <= at,
        )
        .subquery()
    )
    query = (
        sa.select(waiting)
        .where(waiting.c.turn <= limit)
        .order_by(waiting.c.turn, waiting.c.next_try_at, waiting.c.endpoint)
    )
    return tuple(map(_delivery, connection.execute(query).mappings()))


def _row(delivery: Delivery) -> Row:
    place = f"delivery {delivery.message_id}"
    return {
        "message_id": text(delivery.message_id, place),
        "project": text(delivery.project, place),
        "endpoint": text(delivery.endpoint, place),
        "event": text(delivery.event, place),
        "audit_seq": int(delivery.audit_seq),
        "body": text(delivery.body, place),
        "state": str(delivery.state),
        "tries": int(delivery.tries),
        "next_try_at": optional_microseconds(delivery.next_try_at, f"{place}: next_try_at"),
        "last_status": delivery.last_status,
        "last_error": text(delivery.last_error, place),
        "created_at": microseconds(delivery.created_at, f"{place}: created_at"),
        "delivered_at": optional_microseconds(delivery.delivered_at, f"{place}: delivered_at"),
    }


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(
        message_id=row["message_id"],
        project=row["project"],
        endpoint=row["endpoint"],
        event=row["event"],
        audit_seq=row["audit_seq"],
        body=row["body"],
        created_at=moment(row["created_at"]),
        next_try_at=optional_moment(row["next_try_at"]),
        state=DeliveryState(row["state"]),
        tries=row["tries"],
        last_status=row["last_status"],
        last_error=row["last_error"],
        delivered_at=optional_moment(row["delivered_at"]),
    )


def _unknown(message_id: str) -> NotFound:
    return NotFound(
        f"found no delivery {message_id[:80]!r}, expected one of the delivery log. `annotation-ops webhooks list` shows them."
    )

"""Leases: one owner at a time under a name, with an epoch that rises whenever the holder may have changed."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from annotation_ops.adapters.storage.ledger.codec import microseconds, text
from annotation_ops.adapters.storage.ledger.tables import LEASES

RELEASED = 0
"""An `until` in the past of every clock; the row stays, so that the epoch never falls."""


def acquire(connection: Connection, name: str, owner: str, *, at: datetime, seconds: float) -> int | None:
    """The epoch, kept when the owner renews before the end and one higher otherwise; None while another holds it."""
    now = microseconds(at, f"lease {name}: at")
    row = {
        "name": text(name, "lease"),
        "owner": text(owner, f"lease {name}: owner"),
        "epoch": 1,
        "until": now + round(seconds * 1_000_000),
    }
    held = connection.execute(sa.select(LEASES).where(LEASES.c.name == name)).mappings().first()
    if held is None:
        connection.execute(sa.insert(LEASES).values(row))
        return 1
    alive = held["until"] > now
    if alive and held["owner"] != owner:
        return None
    epoch: int = held["epoch"] if alive else held["epoch"] + 1
    connection.execute(sa.update(LEASES).where(LEASES.c.name == name).values(row | {"epoch": epoch}))
    return epoch


def release(connection: Connection, name: str, owner: str) -> None:
    """Ends the lease when `owner` holds it; else changes nothing."""
    connection.execute(sa.update(LEASES).where(LEASES.c.name == name, LEASES.c.owner == owner).values(until=RELEASED))

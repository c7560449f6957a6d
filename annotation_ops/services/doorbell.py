"""The doorbell: a platform said that something happened there. Nothing more of it is believed; collecting finds out what.

A ring may be lost, repeated or late: collecting goes by the interval anyway, and comes sooner after a ring.
"""

from collections.abc import Collection
from datetime import datetime

from annotation_ops.domain.records import SYSTEM_ACTOR
from annotation_ops.ports.ledger import Ledger


def _name(project: str) -> str:
    return f"doorbell:{project}"


def ring(projects: Collection[str], *, ledger: Ledger, now: datetime) -> None:
    """Stored when this returns: the newest ring of each project."""
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        for project in sorted(projects):
            tx.set_cursor(_name(project), now.isoformat())


def rung_at(project: str, *, ledger: Ledger) -> datetime | None:
    """The newest ring; None before the first."""
    text = ledger.cursor(_name(project))
    return datetime.fromisoformat(text) if text else None

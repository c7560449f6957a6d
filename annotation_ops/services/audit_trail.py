"""The audit chain as a whole, a page at a time."""

import sys
from collections.abc import Iterator

from annotation_ops.domain.audit import GENESIS, Checkpoint
from annotation_ops.domain.records import AuditEntry
from annotation_ops.ports.ledger import Ledger

PAGE = 10_000
"""Entries held in memory at a time: about 5 MB."""


class HeadWatch:
    """Passes entries on and remembers how many there were and the last of them."""

    def __init__(self, entries: Iterator[AuditEntry]) -> None:
        self._entries = entries
        self.count = 0
        self.at = Checkpoint(0, GENESIS)

    def __iter__(self) -> Iterator[AuditEntry]:
        for entry in self._entries:
            self.count += 1
            self.at = Checkpoint(entry.seq, entry.hash)
            yield entry


def entries_of(ledger: Ledger) -> Iterator[AuditEntry]:
    """The whole chain in stored order, a page at a time."""
    after = -sys.maxsize
    while page := ledger.audit_entries(after=after, limit=PAGE):
        yield from page
        after = page[-1].seq

"""The position of a reader in every queue of a project."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from annotation_ops.domain.errors import InvalidInput

LATE_WRITES = timedelta(seconds=60)
"""A change may become visible this much after the time it carries: a transaction that took long, hosts whose clocks differ."""


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to `at` was read, and of what changed at that very moment the tasks `ids`."""

    at: datetime
    ids: tuple[int, ...]


BEGINNING = Position(datetime(1970, 1, 1, tzinfo=UTC), ())


@dataclass(frozen=True, slots=True)
class Cursor:
    positions: dict[int, Position]
    """Label Studio project -> position."""
    reading: int | None
    """The project a page ended in; None between two sweeps."""
    swept_at: datetime
    """The server's time when the sweep began that the positions are from."""
    sweep_began_at: datetime | None
    """The server's time when the sweep under way began."""

    def start(self, queue: int) -> Position:
        """Where to read on: exactly there within a sweep, and a little before at the start of one."""
        known = self.positions.get(queue, BEGINNING)
        if queue == self.reading or known == BEGINNING:
            return known
        settled = self.swept_at - LATE_WRITES
        if known.at <= settled:
            return known
        return Position(max(known.at - LATE_WRITES, settled), ())

    def moved(self, queue: int, position: Position) -> "Cursor":
        return replace(self, positions={**self.positions, queue: position}, reading=queue)

    def text(self) -> str:
        return json.dumps(
            {
                "label_studio": 1,
                "at": {str(queue): [one.at.isoformat(), list(one.ids)] for queue, one in self.positions.items()},
                "reading": self.reading,
                "swept_at": self.swept_at.isoformat(),
                "began_at": None if self.sweep_began_at is None else self.sweep_began_at.isoformat(),
            },
            separators=(",", ":"),
        )

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """None is the beginning of everything. Raises InvalidInput for a text that no page gave."""
        if text is None:
            return cls({}, None, BEGINNING.at, None)
        try:
            stored = json.loads(text)
            if stored["label_studio"] != 1:
                raise ValueError("another version")
            return cls(
                {
                    int(queue): Position(datetime.fromisoformat(at), tuple(int(one) for one in ids))
                    for queue, (at, ids) in stored["at"].items()
                },
                stored["reading"],
                datetime.fromisoformat(stored["swept_at"]),
                None if stored["began_at"] is None else datetime.fromisoformat(stored["began_at"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InvalidInput(f"found cursor {text[:80]!r}, expected one that a page of Label Studio gave") from error

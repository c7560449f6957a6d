"""A clock that stands still until it is moved."""

from datetime import UTC, datetime, timedelta

from annotation_ops.ports.clock import Clock

MONDAY_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class ManualClock(Clock):
    def __init__(self, now: datetime = MONDAY_NOON) -> None:
        if now.tzinfo is None:
            raise ValueError(f"found the naive time {now.isoformat()}, expected one with a time zone (UTC)")
        self._now = now.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta | None = None, *, seconds: float = 0.0) -> datetime:
        """Moves the clock, back too when negative; returns the new time."""
        self._now += (by or timedelta()) + timedelta(seconds=seconds)
        return self._now

    def set(self, now: datetime) -> None:
        """Jumps to a timezone-aware time."""
        self._now = now.astimezone(UTC)

from datetime import UTC, datetime, timedelta, timezone

import pytest

from annotation_ops_tests.fakes.clock import MONDAY_NOON, ManualClock


def test_a_manual_clock_moves_only_when_it_is_told_to() -> None:
    clock = ManualClock()
    before = clock.now(), clock.now()
    clock.advance(timedelta(minutes=1), seconds=2.5)
    clock.advance(seconds=-1)

    assert before == (MONDAY_NOON, MONDAY_NOON)
    assert clock.now() == MONDAY_NOON + timedelta(seconds=61.5)


def test_a_manual_clock_tells_utc_whatever_zone_it_is_set_in() -> None:
    clock = ManualClock()
    clock.set(datetime(2026, 11, 23, 14, 0, tzinfo=timezone(timedelta(hours=1))))

    assert clock.now().tzinfo is UTC
    assert clock.now().hour == 13


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        ManualClock(MONDAY_NOON.replace(tzinfo=None))

"""When a message is tried again, and when a run is due."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.deliveries import (
    LONGEST_RETRY_AFTER,
    MAX_TRIES,
    WAITS,
    Delivery,
    DeliveryState,
    after_try,
    decide,
    disabled,
    holds_the_others,
    message_id,
    put_back,
    wait_before,
)
from annotation_ops.domain.records import AuditEntry

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MESSAGE = Delivery("msg_" + "0" * 32, "digits", "warehouse", "labels.published", 7, "{}", NOW, next_try_at=NOW)
STATUSES = st.none() | st.integers(100, 599)
RETRY_AFTER = st.none() | st.timedeltas(timedelta(0), timedelta(days=400))


def refused(delivery: Delivery, *, status: int | None = 500, retry_after: timedelta | None = None) -> Delivery:
    assert delivery.next_try_at is not None
    return after_try(delivery, at=delivery.next_try_at, status=status, error="no", retry_after=retry_after)


def test_the_waits_are_those_of_the_specification_s_example() -> None:
    seconds = [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]

    assert [wait.total_seconds() for wait in WAITS] == seconds
    assert sum(WAITS, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)


def test_a_message_that_nobody_accepts_fails_after_ten_tries_in_three_to_four_days() -> None:
    delivery, tries = MESSAGE, 0
    while delivery.state is DeliveryState.PENDING:
        last = delivery.next_try_at
        delivery = refused(delivery)
        tries += 1

    assert (tries, delivery.state, delivery.tries, delivery.next_try_at) == (10, DeliveryState.FAILED, 10, None)
    assert last is not None
    assert timedelta(hours=75) < last - NOW < timedelta(hours=84)


@given(st.integers(1, MAX_TRIES), st.text(max_size=40))
def test_a_wait_is_the_declared_one_or_up_to_a_tenth_longer_and_always_the_same(number: int, message: str) -> None:
    wait = wait_before(number, message)

    assert WAITS[number - 1] <= wait <= WAITS[number - 1] * 1.1
    assert wait == wait_before(number, message)


def test_messages_that_fail_together_come_back_apart() -> None:
    assert len({wait_before(3, f"msg_{number}") for number in range(100)}) == 100


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_delivery(status: int) -> None:
    done = after_try(MESSAGE, at=NOW, status=status)

    assert (done.state, done.delivered_at, done.next_try_at) == (DeliveryState.DELIVERED, NOW, None)
    assert (done.tries, done.last_status, done.last_error) == (1, status, "")


@pytest.mark.parametrize("status", [None, 100, 301, 302, 307, 308, 400, 401, 404, 408, 429, 500, 503])
def test_anything_else_is_tried_again_redirects_too(status: int | None) -> None:
    again = refused(MESSAGE, status=status)

    assert again.state is DeliveryState.PENDING
    assert (again.tries, again.last_status, again.last_error) == (1, status, "no")
    assert again.next_try_at == NOW + wait_before(2, MESSAGE.message_id)


def test_gone_ends_it_at_once() -> None:
    gone = refused(MESSAGE, status=410)

    assert (gone.state, gone.next_try_at) == (DeliveryState.DISABLED, None)


@pytest.mark.parametrize("status", [429, 503])
def test_an_endpoint_that_asks_to_wait_is_waited_for_but_no_longer_than_a_day(status: int) -> None:
    hour, year = timedelta(hours=1), timedelta(days=365)

    assert refused(MESSAGE, status=status, retry_after=hour).next_try_at == NOW + hour
    assert refused(MESSAGE, status=status, retry_after=year).next_try_at == NOW + LONGEST_RETRY_AFTER
    assert refused(MESSAGE, status=status, retry_after=timedelta(0)).next_try_at == refused(MESSAGE).next_try_at
    assert refused(MESSAGE, status=500, retry_after=hour).next_try_at == refused(MESSAGE).next_try_at


@given(st.lists(st.tuples(STATUSES, RETRY_AFTER), min_size=MAX_TRIES, max_size=MAX_TRIES))
def test_whatever_an_endpoint_answers_a_message_ends_and_never_goes_back_in_time(
    answers: list[tuple[int | None, timedelta | None]],
) -> None:
    delivery = MESSAGE
    for status, retry_after in answers:
        if delivery.state is not DeliveryState.PENDING:
            break
        before = delivery.next_try_at
        delivery = refused(delivery, status=status, retry_after=retry_after)
        assert (delivery.next_try_at is None) == (delivery.state is not DeliveryState.PENDING)
        assert before is not None
        assert delivery.next_try_at is None or before < delivery.next_try_at <= before + timedelta(hours=26.4)

    assert delivery.state is not DeliveryState.PENDING
    assert delivery.tries <= MAX_TRIES
    assert delivery.body == MESSAGE.body


def test_a_long_error_is_kept_shortened() -> None:
    assert len(after_try(MESSAGE, at=NOW, status=None, error="x" * 10_000).last_error) == 500


def test_an_endpoint_that_is_away_or_asks_to_wait_is_left_alone_one_that_refuses_is_not() -> None:
    assert [holds_the_others(refused(MESSAGE, status=status)) for status in (None, 429, 503, 500, 302, 410)] == [
        *(True, True, True),
        *(False, False, False),
    ]
    assert not holds_the_others(disabled(MESSAGE, why="not declared"))


def test_a_message_put_back_is_due_at_once_with_all_its_tries_and_the_same_id() -> None:
    failed = replace(MESSAGE, state=DeliveryState.FAILED, tries=10, next_try_at=None, last_status=500)
    later = NOW + timedelta(days=9)

    again = put_back(failed, at=later)

    assert (again.state, again.tries, again.next_try_at) == (DeliveryState.PENDING, 0, later)
    assert again.message_id == MESSAGE.message_id


def test_an_id_is_of_project_endpoint_and_entry() -> None:
    entry, other = AuditEntry(7, "{}", "a" * 64), AuditEntry(7, "{}", "b" * 64)
    ids = [
        message_id("digits", "warehouse", entry),
        message_id("digits", "archive", entry),
        message_id("reviews", "warehouse", entry),
        message_id("digits", "warehouse", other),
    ]

    assert len(set(ids)) == 4
    assert ids[0] == message_id("digits", "warehouse", entry)
    assert all(len(one) == 36 and one.startswith("msg_") for one in ids)


def test_nothing_is_due_when_all_is_told() -> None:
    assert decide("digits", position="7", unread=0, due=None) is None


def test_a_run_is_due_for_a_first_look_for_new_entries_and_for_a_message_whose_time_has_come() -> None:
    reasons = [
        work.why
        for work in (
            decide("digits", position=None, unread=0, due=None),
            decide("digits", position="7", unread=9, due=None),
            decide("digits", position="7", unread=0, due=MESSAGE),
        )
        if work is not None
    ]

    assert reasons == [
        "the audit chain is read from here on",
        "audit entries up to 9 are not told yet",
        "labels.published to warehouse is due for try 1",
    ]


def test_the_same_situation_is_the_same_work_and_another_try_is_other_work() -> None:
    works = [
        decide("digits", position="7", unread=9, due=MESSAGE),
        decide("digits", position="7", unread=9, due=MESSAGE),
        decide("digits", position="7", unread=9, due=replace(MESSAGE, tries=1)),
        decide("digits", position="8", unread=9, due=MESSAGE),
    ]
    keys = [work.key for work in works if work is not None]

    assert keys[0] == keys[1]
    assert len(set(keys)) == 3

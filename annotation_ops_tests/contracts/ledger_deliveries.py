"""What every ledger must do with the delivery log of webhooks; part of `LedgerContract`."""

from dataclasses import replace
from datetime import datetime

import pytest

from annotation_ops.domain.deliveries import Delivery, DeliveryState, after_try
from annotation_ops.domain.errors import Conflict, NotFound
from annotation_ops.ports.ledger import Ledger
from annotation_ops_tests.contracts.ledger_records import NOW, SECOND


def delivery(number: int, *, endpoint: str = "warehouse", due: datetime = NOW) -> Delivery:
    return Delivery(
        message_id=f"msg_{endpoint}_{number}",
        project="digits",
        endpoint=endpoint,
        event="labels.published",
        audit_seq=number,
        body=f'{{"data":{{"audit_seq":{number}}}}}',
        created_at=NOW,
        next_try_at=due,
    )


def add(ledger: Ledger, *deliveries: Delivery) -> int:
    with ledger.transaction(actor="system", at=NOW) as unit:
        return unit.add_deliveries(deliveries)


def record(ledger: Ledger, changed: Delivery) -> Delivery:
    with ledger.transaction(actor="system", at=NOW) as unit:
        unit.record_delivery(changed)
    return changed


def add_and_fail(ledger: Ledger) -> None:
    with ledger.transaction(actor="system", at=NOW) as unit:
        unit.add_deliveries([delivery(1)])
        unit.set_cursor("webhooks:digits", str(1 // 0))


class DeliveryContract:
    def test_a_message_comes_back_as_it_was_written_before_and_after_a_try(self, ledger: Ledger) -> None:
        new = delivery(1)
        assert add(ledger, new) == 1
        assert ledger.delivery(new.message_id) == new

        refused = record(ledger, after_try(new, at=NOW + SECOND, status=503, error="„zu“"))
        assert ledger.delivery(new.message_id) == refused
        done = record(ledger, after_try(refused, at=NOW + 9 * SECOND, status=204))
        assert ledger.delivery(new.message_id) == done
        assert (done.delivered_at, done.next_try_at) == (NOW + 9 * SECOND, None)

    def test_a_message_that_is_there_is_not_added_again_however_it_fared(self, ledger: Ledger) -> None:
        new = delivery(1)
        add(ledger, new)
        done = record(ledger, after_try(new, at=NOW, status=200))

        assert add(ledger, replace(new, body="worded otherwise", created_at=NOW + SECOND), delivery(2)) == 1
        assert ledger.delivery(new.message_id) == done

    def test_the_same_id_for_another_entry_is_a_conflict(self, ledger: Ledger) -> None:
        add(ledger, delivery(1))

        with pytest.raises(Conflict):
            add(ledger, replace(delivery(1), audit_seq=2))

    def test_the_log_needs_no_audit_entry_and_moves_with_its_reading_position(self, ledger: Ledger) -> None:
        with ledger.transaction(actor="system", at=NOW) as unit:
            unit.add_deliveries([delivery(1)])
            unit.set_cursor("webhooks:digits", "1")

        assert ledger.audit_entries() == ()
        assert (len(ledger.deliveries("digits")), ledger.cursor("webhooks:digits")) == (1, "1")

    def test_an_exception_leaves_neither_messages_nor_position(self, ledger: Ledger) -> None:
        with pytest.raises(ZeroDivisionError):
            add_and_fail(ledger)

        assert (ledger.deliveries("digits"), ledger.cursor("webhooks:digits")) == ((), None)

    def test_an_unknown_message_is_not_found(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound, match="msg_nothing"):
            ledger.delivery("msg_nothing")
        with pytest.raises(NotFound, match="msg_warehouse_1"):
            record(ledger, delivery(1))

    def test_the_newest_are_listed_first_by_state_and_project(self, ledger: Ledger) -> None:
        add(ledger, *(delivery(number) for number in (1, 2, 3)), replace(delivery(4), project="reviews"))
        record(ledger, replace(delivery(2), state=DeliveryState.FAILED, next_try_at=None))

        assert [one.audit_seq for one in ledger.deliveries("digits")] == [3, 2, 1]
        assert [one.audit_seq for one in ledger.deliveries("digits", limit=2)] == [3, 2]
        assert [one.audit_seq for one in ledger.deliveries("digits", states={DeliveryState.FAILED})] == [2]
        assert ledger.deliveries("digits", states=()) == ()
        assert [one.audit_seq for one in ledger.deliveries("reviews")] == [4]

    def test_what_is_due_comes_an_endpoint_at_a_time_the_longest_waiting_first(self, ledger: Ledger) -> None:
        add(
            ledger,
            *(delivery(number) for number in (1, 2, 3)),
            delivery(4, endpoint="archive", due=NOW + SECOND),
            delivery(5, endpoint="archive", due=NOW - SECOND),
            delivery(6, endpoint="later", due=NOW + 2 * SECOND),
            replace(delivery(7, endpoint="done"), state=DeliveryState.DELIVERED, next_try_at=None),
        )

        due = ledger.due_deliveries("digits", at=NOW + SECOND, limit=2)

        assert [(one.endpoint, one.audit_seq) for one in due] == [
            *(("archive", 5), ("warehouse", 1)),
            *(("warehouse", 2), ("archive", 4)),
        ]
        assert ledger.due_deliveries("reviews", at=NOW + SECOND, limit=2) == ()

    def test_the_head_is_the_newest_entry_s_number(self, ledger: Ledger) -> None:
        assert ledger.audit_head() == 0
        with ledger.transaction(actor="a", at=NOW) as unit:
            unit.audit("e", "s", {})
            unit.audit("e", "s", {})

        assert ledger.audit_head() == 2

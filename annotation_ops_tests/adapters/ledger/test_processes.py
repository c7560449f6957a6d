"""Several processes on one ledger: first starts, writers taking turns, deaths in the middle."""

import json
import os
from pathlib import Path

import pytest

from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops.domain.audit import verify
from annotation_ops_tests.adapters.ledger.processes import (
    die_in_the_middle,
    initialise_and_write,
    run_together,
    take_the_lease,
    write_many,
    write_through,
)
from annotation_ops_tests.contracts.ledger_records import NOW, everything, plan
from annotation_ops_tests.postgres import new_database

SIGKILLED = -9


def whole_after_a_first_start(url: str) -> bool:
    assert run_together(initialise_and_write, 8, url) == [0] * 8
    with SqlLedger(url) as ledger:
        entries = ledger.audit_entries()
    return len(entries) == 8 and verify(entries) is None


def test_eight_processes_may_start_on_an_empty_folder(tmp_path: Path) -> None:
    for turn in range(3):
        assert whole_after_a_first_start(f"sqlite:///{tmp_path / str(turn) / 'new' / 'ledger.sqlite'}")


@pytest.mark.slow
def test_a_hundred_first_starts_of_eight_processes_are_all_whole(tmp_path: Path) -> None:
    for turn in range(100):
        assert whole_after_a_first_start(f"sqlite:///{tmp_path / str(turn) / 'ledger.sqlite'}")


@pytest.mark.postgres
def test_eight_processes_may_start_on_an_empty_postgres_database(server_url: str) -> None:
    assert whole_after_a_first_start(new_database(server_url))


def chain_is_whole_after_two_writers(url: str, *, times: int) -> bool:
    assert run_together(write_many, 2, url, times) == [0, 0]
    with SqlLedger(url) as ledger:
        entries = ledger.audit_entries()
        cursors = {ledger.cursor("process-0"), ledger.cursor("process-1")}
    pairs = [json.loads(entry.body)["actor"] for entry in entries]
    return (
        verify(entries) is None
        and [entry.seq for entry in entries] == list(range(1, 4 * times + 1))
        and pairs[::2] == pairs[1::2]
        and set(pairs) == {"process-0", "process-1"}
        and cursors == {str(times - 1)}
    )


def test_two_writers_keep_the_chain_whole_on_sqlite(sqlite_url: str) -> None:
    with SqlLedger(sqlite_url) as ledger:
        ledger.initialise()

    assert chain_is_whole_after_two_writers(sqlite_url, times=40)


@pytest.mark.postgres
def test_two_writers_keep_the_chain_whole_on_postgres(postgres_url: str) -> None:
    assert chain_is_whole_after_two_writers(postgres_url, times=40)


def test_one_of_several_processes_gets_the_lease_on_sqlite(sqlite_url: str) -> None:
    with SqlLedger(sqlite_url) as ledger:
        ledger.initialise()

    assert sorted(run_together(take_the_lease, 4, sqlite_url), key=str) == [0, 0, 0, 11]


@pytest.mark.postgres
def test_one_of_several_processes_gets_the_lease_on_postgres(postgres_url: str) -> None:
    assert sorted(run_together(take_the_lease, 4, postgres_url), key=str) == [0, 0, 0, 11]


def nothing_is_left_of_a_killed_transaction(url: str) -> bool:
    with SqlLedger(url) as ledger:
        ledger.initialise()
        plan(ledger)
        with ledger.transaction(actor="system", at=NOW) as unit:
            unit.add_document_version("digits", "guideline", "1.0.0", "h", "b")
            unit.audit("document.stored", "guideline", {})
        before = everything(ledger)
        for effects in range(6):
            assert run_together(die_in_the_middle, 1, url, effects) == [SIGKILLED]
            assert everything(ledger) == before
        with ledger.transaction(actor="system", at=NOW) as unit:
            unit.audit("still.writable", "x", {})
        return verify(ledger.audit_entries()) is None


def test_a_process_killed_after_any_effect_of_a_transaction_leaves_nothing_on_sqlite(sqlite_url: str) -> None:
    assert nothing_is_left_of_a_killed_transaction(sqlite_url)


@pytest.mark.postgres
def test_a_process_killed_after_any_effect_of_a_transaction_leaves_nothing_on_postgres(postgres_url: str) -> None:
    assert nothing_is_left_of_a_killed_transaction(postgres_url)


def both_sides_of_a_fork_write(ledger: SqlLedger) -> bool:
    write_entry(ledger, "before")
    child = os.fork()
    if child == 0:
        try:
            write_entry(ledger, "child")
            ledger.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    write_entry(ledger, "parent")
    entries = ledger.audit_entries()
    actors = [json.loads(entry.body)["actor"] for entry in entries]
    return actors == ["before", "child", "parent"] and verify(entries) is None


def write_entry(ledger: SqlLedger, actor: str) -> None:
    with ledger.transaction(actor=actor, at=NOW) as unit:
        unit.audit("e", "s", {})


def test_a_ledger_goes_on_working_on_both_sides_of_a_fork_on_sqlite(sqlite_url: str) -> None:
    with SqlLedger(sqlite_url) as ledger:
        ledger.initialise()
        assert both_sides_of_a_fork_write(ledger)


@pytest.mark.postgres
def test_a_ledger_goes_on_working_on_both_sides_of_a_fork_on_postgres(postgres_url: str) -> None:
    with SqlLedger(postgres_url) as ledger:
        assert both_sides_of_a_fork_write(ledger)


def test_a_ledger_in_use_can_be_sent_to_another_process(sqlite_url: str) -> None:
    with SqlLedger(sqlite_url) as ledger:
        ledger.initialise()
        write_entry(ledger, "parent")

        assert run_together(write_through, 1, ledger) == [0]
        assert len(ledger.audit_entries()) == 2

"""What the ledger's tests do in other processes."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops_tests.contracts.ledger_records import NOW, annotation, assignment, task

# One process that has imported everything hands out quick copies of itself, not of the test process.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])

SECONDS = 60
"""After which a process counts as stuck."""


def run_together(target: Callable[..., None], count: int, *arguments: Any) -> list[int | None]:
    """Exit codes of `count` processes that each call target(barrier, number, *arguments)."""
    barrier = CONTEXT.Barrier(count)
    started = [CONTEXT.Process(target=target, args=(barrier, number, *arguments)) for number in range(count)]
    for process in started:
        process.start()
    for process in started:
        process.join(SECONDS)
    codes = [process.exitcode for process in started]
    for process in started:
        process.kill()
        process.join()
        process.close()
    return codes


def initialise_and_write(barrier: Any, number: int, url: str) -> None:
    with SqlLedger(url) as ledger:
        barrier.wait(SECONDS)
        ledger.initialise()
        with ledger.transaction(actor=f"process-{number}", at=NOW) as unit:
            unit.audit("process.started", str(number), {})


def write_through(_barrier: Any, _number: int, ledger: SqlLedger) -> None:
    with ledger, ledger.transaction(actor="child", at=NOW) as unit:
        unit.audit("e", "s", {})


def write_many(barrier: Any, number: int, url: str, times: int) -> None:
    with SqlLedger(url) as ledger:
        barrier.wait(SECONDS)
        for turn in range(times):
            with ledger.transaction(actor=f"process-{number}", at=datetime.now(UTC)) as unit:
                unit.set_cursor(f"process-{number}", str(turn))
                unit.audit("turn.begun", str(turn), {"process": number})
                unit.audit("turn.ended", str(turn), {"process": number})


def take_the_lease(barrier: Any, number: int, url: str) -> None:
    with SqlLedger(url) as ledger:
        barrier.wait(SECONDS)
        epoch = ledger.acquire_lease("collect", f"process-{number}", at=NOW, seconds=60)
    os._exit(0 if epoch is None else 10 + epoch)


def die_in_the_middle(_barrier: Any, _number: int, url: str, effects: int) -> None:
    """Killed after the first `effects` of four effects of one transaction; 5 is after its audit, before its commit."""
    ledger = SqlLedger(url)
    steps: list[Callable[[Any], object]] = [
        lambda unit: unit.add_tasks("digits", [task(position) for position in range(100, 1300)]),
        lambda unit: unit.add_assignments([assignment(task(0), "ann-1")]),
        lambda unit: unit.add_annotations([annotation(task(0), "ann-1")]),
        lambda unit: unit.set_cursor("collect", "1"),
        lambda unit: unit.audit("annotation.collected", "x", {}),
    ]
    with ledger.transaction(actor="system", at=NOW) as unit:
        for step in steps[:effects]:
            step(unit)
        os.kill(os.getpid(), signal.SIGKILL)

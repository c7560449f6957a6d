"""Seconds for 10,000 rows in and out of the ledger: `python benchmarks/ledger.py [LEDGER_URL]` (default: SQLite)."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops.domain.audit import verify
from annotation_ops.domain.batches import BatchPurpose, BatchState
from annotation_ops.domain.records import (
    Annotation,
    Assignment,
    AssignmentState,
    Attempt,
    Batch,
    DocumentVersions,
    Task,
    task_key,
)

ROWS = 10_000
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
BATCH = Batch(
    "2026-11-23-active-01", "bench", date(2026, 11, 23), BatchPurpose.ACTIVE, DocumentVersions(*"abcdefg"), 1, NOW
)


def tasks() -> list[Task]:
    return [
        Task(
            task_key=task_key("bench", BATCH.batch_id, 1, f"s{position}", "d"),
            batch_id=BATCH.batch_id,
            attempt=1,
            sample_id=f"s{position}",
            digest="d" * 64,
            uri=f"s3://bucket/objects/s{position}.png",
            position=position,
            slices={"scanner": "b"},
            selection_reason="uncertain",
            inclusion_probability=0.1,
            uncertainty=0.5,
        )
        for position in range(ROWS)
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'ledger.sqlite'}"
        with SqlLedger(url) as ledger:
            measure(ledger)


def measure(ledger: SqlLedger) -> None:
    with timed("initialise"):
        ledger.initialise()
    made = tasks()
    with timed(f"plan: {ROWS} tasks"), ledger.transaction(actor="system", at=NOW) as unit:
        unit.add_batch(BATCH)
        unit.add_attempt(Attempt(BATCH.batch_id, 1, "bench", BatchState.PLANNED, planned_at=NOW))
        unit.add_tasks("bench", made)
        unit.audit("batch.planned", BATCH.batch_id, {"tasks": ROWS})
    assigned = [Assignment(task.task_key, "ann-1", AssignmentState.OPEN, {"load": 1}, NOW) for task in made]
    with timed(f"assign: {ROWS} assignments"), ledger.transaction(actor="system", at=NOW) as unit:
        unit.add_assignments(assigned)
        unit.audit("tasks.assigned", BATCH.batch_id, {"tasks": ROWS})
    answers = [
        Annotation(f"{task.task_key}1", task.task_key, "ann-1", {"label": "7"}, NOW, NOW, 1.5, "1") for task in made
    ]
    for name in ("collect", "collect again"):
        with timed(f"{name}: {ROWS} annotations"), ledger.transaction(actor="system", at=NOW) as unit:
            unit.add_annotations(answers)
            unit.audit("annotation.collected", BATCH.batch_id, {"count": ROWS})
    with timed(f"audit: {ROWS} entries"), ledger.transaction(actor="system", at=NOW) as unit:
        for task in made:
            unit.audit("task.adopted", task.task_key, {"platform_task_id": "1"})
    with timed(f"read: {ROWS} tasks"):
        ledger.tasks("bench", BATCH.batch_id, 1)
    with timed(f"read: {ROWS} annotations"):
        ledger.annotations("bench", BATCH.batch_id, 1)
    with timed(f"verify: {ROWS} entries"):
        verify(ledger.audit_entries())
    with timed("commit: 100 small transactions"):
        for turn in range(100):
            with ledger.transaction(actor="system", at=NOW) as unit:
                unit.set_cursor("c", str(turn))
                unit.audit("cursor.moved", "c", {"to": turn})


@contextmanager
def timed(name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    print(f"{name:<32}{time.perf_counter() - start:8.3f} s")


if __name__ == "__main__":
    main()

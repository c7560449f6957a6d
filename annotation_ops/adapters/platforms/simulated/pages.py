"""Pages of what changed, in (updated_at, id) order, with a cursor that never skips."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

from annotation_ops.adapters.platforms.simulated.draws import uniform
from annotation_ops.adapters.platforms.simulated.simulation import Misbehaviour
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.ports.annotation_platform import AnnotationPage, PlatformAnnotation

START = "0.0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST_VISIBLE = """
SELECT c.*, t.task_key FROM changes c JOIN tasks t ON t.id = c.task_id
WHERE c.project_id = :project AND c.visible_at <= :now AND (c.updated_at, c.annotation_id) > (:updated, :after)
  AND NOT EXISTS (SELECT 1 FROM changes n WHERE n.annotation_id = c.annotation_id AND n.revision > c.revision
                  AND n.visible_at <= :now)
ORDER BY c.updated_at, c.annotation_id LIMIT :limit
"""


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970, UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def task_name(task_id: int) -> str:
    return f"simulated-task-{task_id:09d}"


def annotation_name(annotation_id: int) -> str:
    return f"simulated-annotation-{annotation_id:09d}"


def page(
    connection: sqlite3.Connection, *, project_id: int, cursor: str | None, limit: int, now: int
) -> AnnotationPage:
    """Raises InvalidInput for a cursor that this platform did not give."""
    cursor = START if cursor is None else cursor
    updated, after = _parse(cursor)
    rows = connection.execute(
        _NEWEST_VISIBLE, {"project": project_id, "now": now, "updated": updated, "after": after, "limit": limit + 1}
    ).fetchall()
    shown = rows[:limit]
    if shown:
        cursor = f"{shown[-1]['updated_at']}.{shown[-1]['annotation_id']}"
    return AnnotationPage(tuple(_annotation(row) for row in shown), cursor, len(rows) > limit)


def disturbed(page: AnnotationPage, *, misbehave: Misbehaviour, call: int) -> AnnotationPage:
    """The page with items twice and in another order, as far as misbehaviour says."""
    items = [
        item
        for number, item in enumerate(page.items)
        for _ in range(2 if uniform(misbehave.seed, "twice", str(call), str(number)) < misbehave.duplicate_items else 1)
    ]
    if uniform(misbehave.seed, "shuffled", str(call)) < misbehave.shuffled_pages:
        order = sorted(range(len(items)), key=lambda number: uniform(misbehave.seed, "order", str(call), str(number)))
        items = [items[number] for number in order]
    return AnnotationPage(tuple(items), page.next_cursor, page.more)


def _parse(cursor: str) -> tuple[int, int]:
    updated, dot, after = cursor.partition(".")
    if not (dot and updated.isascii() and updated.isdecimal() and after.isascii() and after.isdecimal()):
        raise InvalidInput(f"found cursor {cursor!r}, expected one that the simulated platform gave, or None")
    if len(updated) > 18 or len(after) > 18:
        raise InvalidInput(f"found cursor {cursor[:40]!r}, expected one that the simulated platform gave, or None")
    return int(updated), int(after)


def _annotation(row: sqlite3.Row) -> PlatformAnnotation:
    return PlatformAnnotation(
        platform_annotation_id=annotation_name(row["annotation_id"]),
        platform_task_id=task_name(row["task_id"]),
        task_key=row["task_key"],
        annotator_id=row["annotator_id"],
        value=json.loads(row["value"]),
        submitted_at=moment(row["submitted_at"]),
        updated_at=moment(row["updated_at"]),
        lead_time_seconds=row["lead_seconds"],
        state=cast(Literal["submitted", "skipped", "deleted"], row["state"]),
        raw=json.loads(row["raw"]),
    )

"""Which days have objects that nobody has registered yet: what the ingestion sensor asks."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, timedelta

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.ingestion import listing_digest
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.ports.object_store import ObjectInfo, ObjectStore
from annotation_ops.services.ingest import day_objects

SETTLED_AFTER = timedelta(days=2)
"""A day this much older than today is listed once more and then left to backfills: late uploads rarely take longer."""


@dataclass(frozen=True, slots=True)
class TouchedDay:
    """A day whose listing differs from the one the cursor remembers."""

    day: date
    fingerprint: str
    """Of the day's keys and etags; with the day it makes a run key that is the same for the same content."""
    objects: int


def new_objects(
    project: AnnotationProject, *, store: ObjectStore, since_cursor: str | None, limit: int, today: date
) -> tuple[tuple[TouchedDay, ...], str]:
    """Days from the source's start to `today` (UTC) with objects the cursor has not seen, and the next cursor.

    With dated prefixes only days not settled yet are listed; catching up on settled ones stops after the day in which
    `limit` listed objects are exceeded, and the next call goes on there. By modification time the whole store is listed.
    Raises InvalidInput for a cursor this function did not write; TransientError from the store.
    """
    through, seen = _parsed(since_cursor)
    dated = bool(project.sources.raw.day_prefix)
    first = max(project.sources.raw.start, through + timedelta(days=1)) if through else project.sources.raw.start
    listings = _by_prefix(project, store, first, today) if dated else _by_time(store, project.sources.raw.start, today)
    touched: list[TouchedDay] = []
    listed = 0
    for found in listings:
        if found.objects and seen.get(found.day.isoformat()) != found.fingerprint:
            touched.append(found)
            seen[found.day.isoformat()] = found.fingerprint
        listed += found.objects
        if dated and found.day < today - SETTLED_AFTER:
            seen.pop(found.day.isoformat(), None)
            through = found.day
            if listed > limit:
                break
    return tuple(touched), json.dumps(
        {"through": through.isoformat() if through else None, "days": seen}, sort_keys=True
    )


def _parsed(cursor: str | None) -> tuple[date | None, dict[str, str]]:
    if not cursor:
        return None, {}
    try:
        document = json.loads(cursor)
        through = document["through"]
        return date.fromisoformat(through) if through else None, dict(document["days"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"found cursor {cursor[:80]!r}, expected one this sensor wrote: reset the cursor") from error


def _by_prefix(project: AnnotationProject, store: ObjectStore, first: date, today: date) -> Iterator[TouchedDay]:
    for ordinal in range(first.toordinal(), today.toordinal() + 1):
        day = date.fromordinal(ordinal)
        yield _touched(day, day_objects(project, day, store))


def _by_time(store: ObjectStore, first: date, today: date) -> Iterator[TouchedDay]:
    days: dict[date, list[ObjectInfo]] = {}
    for info in store.list():
        day = info.modified_at.astimezone(UTC).date()
        if first <= day <= today:
            days.setdefault(day, []).append(info)
    for day in sorted(days):
        yield _touched(day, iter(days[day]))


def _touched(day: date, infos: Iterator[ObjectInfo]) -> TouchedDay:
    count = 0

    def lines() -> Iterator[tuple[str, ...]]:
        nonlocal count
        for info in infos:
            count += 1
            yield info.key, info.etag

    fingerprint = listing_digest(lines())
    return TouchedDay(day, fingerprint, count)

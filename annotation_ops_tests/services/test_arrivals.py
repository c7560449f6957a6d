from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from os import utime
from pathlib import Path

import pytest

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.arrivals import TouchedDay, new_objects
from annotation_ops_tests.services.ingest_bench import Fuse, WatchedFolder, example

TODAY = date(2026, 11, 23)


class Arrivals:
    """A folder of dated objects, and the sensor's memory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = WatchedFolder(root, Fuse())
        project = example()
        raw = replace(project.sources.raw, start=TODAY - timedelta(days=10))
        self.project: AnnotationProject = replace(project, sources=replace(project.sources, raw=raw))
        self.cursor: str | None = None

    def put(self, day: date, name: str, body: bytes = b"x") -> None:
        path = self.root / day.isoformat() / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)

    def look(self, *, limit: int = 1_000, today: date = TODAY) -> tuple[TouchedDay, ...]:
        self.store.prefixes.clear()
        found, self.cursor = new_objects(
            self.project, store=self.store, since_cursor=self.cursor, limit=limit, today=today
        )
        return found

    def days(self, *, limit: int = 1_000, today: date = TODAY) -> list[int]:
        """How many days ago the touched days were."""
        return [(today - touched.day).days for touched in self.look(limit=limit, today=today)]


@pytest.fixture
def arrivals(tmp_path: Path) -> Arrivals:
    return Arrivals(tmp_path)


def test_the_first_look_finds_every_day_with_objects(arrivals: Arrivals) -> None:
    for ago in (0, 1, 5):
        arrivals.put(TODAY - timedelta(days=ago), "a.png")
    arrivals.put(TODAY - timedelta(days=11), "before the start.png")

    assert arrivals.days() == [5, 1, 0]


def test_nothing_new_touches_no_day(arrivals: Arrivals) -> None:
    arrivals.put(TODAY, "a.png")
    arrivals.look()
    cursor = arrivals.cursor

    assert arrivals.look() == ()
    assert arrivals.cursor == cursor


def test_new_and_overwritten_objects_touch_their_day_again(arrivals: Arrivals) -> None:
    arrivals.put(TODAY, "a.png")
    arrivals.put(TODAY - timedelta(days=1), "a.png")
    arrivals.look()

    arrivals.put(TODAY, "b.png")
    assert arrivals.days() == [0]
    arrivals.put(TODAY - timedelta(days=1), "a.png", b"overwritten")
    assert arrivals.days() == [1]


def test_a_look_repeated_from_an_old_cursor_says_the_same(arrivals: Arrivals) -> None:
    arrivals.put(TODAY, "a.png")
    first = arrivals.look()
    arrivals.cursor = None

    assert arrivals.look() == first


def test_another_content_has_another_fingerprint(arrivals: Arrivals) -> None:
    arrivals.put(TODAY, "a.png")
    (first,) = arrivals.look()
    arrivals.put(TODAY, "a.png", b"more")
    (second,) = arrivals.look()

    assert first.fingerprint != second.fingerprint
    assert (first.objects, second.objects) == (1, 1)


def test_settled_days_are_not_listed_again(arrivals: Arrivals) -> None:
    arrivals.put(TODAY - timedelta(days=5), "a.png")
    arrivals.look()

    arrivals.look()

    assert arrivals.store.prefixes == [f"{TODAY - timedelta(days=ago)}/" for ago in (2, 1, 0)]


def test_a_late_upload_to_yesterday_is_found(arrivals: Arrivals) -> None:
    arrivals.look()
    arrivals.put(TODAY, "late.png")

    assert arrivals.days(today=TODAY + timedelta(days=1)) == [1]


def test_a_sensor_that_slept_for_a_week_catches_up(arrivals: Arrivals) -> None:
    arrivals.look()
    for ahead in range(1, 8):
        arrivals.put(TODAY + timedelta(days=ahead), "a.png")

    assert arrivals.days(today=TODAY + timedelta(days=7)) == [6, 5, 4, 3, 2, 1, 0]


def test_a_look_stops_at_its_limit_and_the_next_goes_on(arrivals: Arrivals) -> None:
    for ago in range(8):
        for number in range(3):
            arrivals.put(TODAY - timedelta(days=ago), f"{number}.png")

    assert arrivals.days(limit=5) == [7, 6]
    assert arrivals.days(limit=5) == [5, 4]
    assert arrivals.days(limit=100) == [3, 2, 1, 0]
    assert arrivals.days(limit=100) == []


def test_a_limit_below_an_unsettled_day_does_not_stop_the_days_behind_it(arrivals: Arrivals) -> None:
    for ago in range(3):
        for number in range(3):
            arrivals.put(TODAY - timedelta(days=ago), f"{number}.png")

    seen = [ago for _ in range(4) for ago in arrivals.days(limit=2)]

    assert seen == [2, 1, 0]


def test_without_dated_prefixes_days_are_those_of_modification(arrivals: Arrivals) -> None:
    raw = replace(arrivals.project.sources.raw, day_prefix="")
    arrivals.project = replace(arrivals.project, sources=replace(arrivals.project.sources, raw=raw))
    for name, ago in {"a": 0, "b": 4, "c": 30}.items():
        arrivals.put(TODAY, name)
        moment = (datetime(2026, 11, 23, 12, tzinfo=UTC) - timedelta(days=ago)).timestamp()
        utime(arrivals.root / TODAY.isoformat() / name, (moment, moment))

    assert arrivals.days() == [4, 0]
    assert arrivals.days() == []


@pytest.mark.parametrize("cursor", ["{", "[]", '{"through": "x", "days": {}}', '{"days": 3}'])
def test_a_cursor_that_is_not_ours_is_refused_with_the_mend(arrivals: Arrivals, cursor: str) -> None:
    arrivals.cursor = cursor

    with pytest.raises(InvalidInput, match="reset the cursor"):
        arrivals.look()

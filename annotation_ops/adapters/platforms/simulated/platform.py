"""The simulated platform: annotators of known skill behind the same port as real ones."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from annotation_ops.adapters.platforms.simulated.crowd import Crowd
from annotation_ops.adapters.platforms.simulated.draws import uniform
from annotation_ops.adapters.platforms.simulated.pages import START, disturbed, microseconds, page, task_name
from annotation_ops.adapters.platforms.simulated.simulation import WELL_BEHAVED, Misbehaviour, Simulation
from annotation_ops.adapters.platforms.simulated.store import SimulatedStore
from annotation_ops.adapters.platforms.simulated.truth_book import identity_of
from annotation_ops.domain.errors import Conflict, InvalidInput, NotFound, TransientError, Unsupported
from annotation_ops.domain.records import JsonObject
from annotation_ops.ports.annotation_platform import (
    AnnotationPage,
    AnnotationPlatform,
    Capability,
    PlatformHealth,
    PlatformLimits,
    PlatformProject,
    PlatformProjectSpec,
    TaskReceipt,
    TaskSpec,
)
from annotation_ops.ports.clock import Clock


class SimulatedPlatform(AnnotationPlatform):
    """Works like a server with one database: state is in one file, calls of any number of processes come one by one.

    Creating is not idempotent, as in Label Studio: the same task sent twice is two live tasks. The platform's own clock
    moves with every call, so no change is ever dated before a page that was already served.
    """

    name = "simulated"
    capabilities = (
        Capability.BULK_CREATE | Capability.ASSIGN_USER | Capability.INCREMENTAL_FETCH | Capability.DELETE_SEEN
    )
    limits = PlatformLimits(max_tasks_per_call=1000, max_page_size=1000)

    def __init__(
        self, database: Path, *, simulation: Simulation, clock: Clock, misbehave: Misbehaviour = WELL_BEHAVED
    ) -> None:
        self._store = SimulatedStore(database)
        self._people = simulation.people
        self._crowd = Crowd(simulation, misbehave)
        self._clock = clock
        self._misbehave = misbehave

    def check(self) -> PlatformHealth:
        return PlatformHealth(
            True, "simulated 1", self._clock.now(), f"{len(self._people)} simulated people; no human works here"
        )

    def ensure_project(self, spec: PlatformProjectSpec) -> PlatformProject:
        """Classification and ordinal tasks only, else Unsupported."""
        if spec.task_type not in ("classification", "ordinal"):
            raise Unsupported(
                f"found task type {spec.task_type!r}, expected classification or ordinal: simulated people give one label"
            )
        if not spec.labels or len(set(spec.labels)) != len(spec.labels):
            raise InvalidInput(f"project {spec.name!r}: found labels {spec.labels}, expected at least one, each once")
        with self._call() as (connection, _):
            row = connection.execute("SELECT * FROM projects WHERE name = ?", (spec.name,)).fetchone()
            if row is None:
                return PlatformProject(str(_insert_project(connection, spec)))
            _require_same(spec, row)
            connection.execute(
                "UPDATE projects SET version = ?, instructions = ? WHERE id = ?",
                (spec.version, spec.instructions, row["id"]),
            )
            return PlatformProject(str(row["id"]))

    def create_tasks(self, project_id: str, tasks: Sequence[TaskSpec]) -> tuple[TaskReceipt, ...]:
        """A task for somebody who is not simulated fails by itself; a task without its medium refuses the whole call."""
        if len(tasks) > self.limits.max_tasks_per_call:
            raise InvalidInput(f"found {len(tasks)} tasks, expected at most {self.limits.max_tasks_per_call} a call")
        call = self._count_call()
        partial = self._misbehaves(self._misbehave.partial_create, "partial create", call)
        wanted = tasks[: len(tasks) // 2] if partial else tasks
        with self._call() as (connection, now):
            self._crowd.require_truth()
            project = _project(connection, project_id)
            receipts = tuple([self._create(connection, project, task, now) for task in wanted])
        if partial:
            raise TransientError("simulated 500: the server stopped in the middle of creating tasks")
        if self._misbehaves(self._misbehave.lost_reply, "lost reply", call):
            raise TransientError("simulated 500: the server failed after it had created the tasks")
        return receipts

    def find_tasks(self, project_id: str, task_keys: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        self._count_call()
        with self._call() as (connection, _):
            project = _project(connection, project_id)
            rows = connection.execute(
                "SELECT task_key, id FROM tasks WHERE project_id = ? AND NOT withdrawn "
                "AND task_key IN (SELECT value FROM json_each(?)) ORDER BY id",
                (project["id"], json.dumps(sorted(task_keys))),
            ).fetchall()
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(row["task_key"], []).append(task_name(row["id"]))
        return {key: tuple(names) for key, names in found.items()}

    def assign(self, project_id: str, assignees: Mapping[str, Collection[str]]) -> None:
        """Raises NotFound for an unknown or withdrawn task and for people who are not simulated."""
        self._count_call()
        unknown = self._unknown({person for people in assignees.values() for person in people})
        if unknown:
            raise NotFound(self._who(unknown))
        with self._call() as (connection, now):
            project = _project(connection, project_id)
            for platform_task_id, people in assignees.items():
                task_id = _task_id(platform_task_id)
                known = connection.execute(
                    "SELECT 1 FROM tasks WHERE id = ? AND project_id = ? AND NOT withdrawn", (task_id, project["id"])
                ).fetchone()
                if task_id is None or known is None:
                    raise NotFound(f"found no live task {platform_task_id!r} in project {project['name']!r}")
                _enqueue(connection, task_id, sorted(people), now)

    def fetch_annotations(self, project_id: str, *, cursor: str | None, limit: int) -> AnnotationPage:
        if not 1 <= limit <= self.limits.max_page_size:
            raise InvalidInput(f"found a page size of {limit}, expected 1..{self.limits.max_page_size}")
        call = self._count_call()
        with self._call() as (connection, now):
            project = _project(connection, project_id)
            self._crowd.advance(connection, now)
            fresh = page(connection, project_id=project["id"], cursor=cursor, limit=limit, now=now)
            before = _swap_served(connection, project["id"], cursor)
            if before is not None and self._misbehaves(self._misbehave.repeated_pages, "repeated page", call):
                again = page(connection, project_id=project["id"], cursor=before, limit=limit, now=now)
                fresh = AnnotationPage(again.items, START if cursor is None else cursor, True)
        return disturbed(fresh, misbehave=self._misbehave, call=call)

    def withdraw_tasks(self, project_id: str, platform_task_ids: Collection[str]) -> None:
        self._count_call()
        wanted = sorted(task_id for name in platform_task_ids if (task_id := _task_id(name)) is not None)
        with self._call() as (connection, now):
            project = _project(connection, project_id)
            self._crowd.advance(connection, now)
            for task_id in wanted:
                changed = connection.execute(
                    "UPDATE tasks SET withdrawn = 1 WHERE id = ? AND project_id = ? AND NOT withdrawn",
                    (task_id, project["id"]),
                )
                if changed.rowcount:
                    self._crowd.withdraw(connection, task_id, now)

    def edit_annotation(self, platform_annotation_id: str, *, value: JsonObject) -> None:
        """Changes an answer as its author would in the browser. Raises NotFound for one that cannot be seen now."""
        self._revise(platform_annotation_id, value, "submitted")

    def delete_annotation(self, platform_annotation_id: str) -> None:
        """Deletes an answer as its author would in the browser. Raises NotFound for one that cannot be seen now."""
        self._revise(platform_annotation_id, {}, "deleted")

    def _revise(self, platform_annotation_id: str, value: JsonObject, state: str) -> None:
        annotation_id = _number(platform_annotation_id, "simulated-annotation-")
        with self._call() as (connection, now):
            self._crowd.advance(connection, now)
            connection.execute("DELETE FROM changes WHERE annotation_id = ? AND visible_at > ?", (annotation_id, now))
            row = connection.execute(
                "SELECT * FROM changes WHERE annotation_id = ? ORDER BY revision DESC LIMIT 1", (annotation_id,)
            ).fetchone()
            if row is None or row["state"] == "deleted":
                raise NotFound(f"found no annotation {platform_annotation_id!r}")
            new = {**dict(row), "revision": row["revision"] + 1, "value": json.dumps(value), "state": state}
            new |= {"updated_at": now, "visible_at": now}
            names = ", ".join(new)
            marks = ", ".join(f":{name}" for name in new)
            connection.execute(f"INSERT INTO changes ({names}) VALUES ({marks})", new)

    def _create(self, connection: sqlite3.Connection, project: sqlite3.Row, task: TaskSpec, now: int) -> TaskReceipt:
        if len(set(task.assignees)) != len(task.assignees):
            raise InvalidInput(f"task {task.task_key}: found assignees {task.assignees}, expected each person once")
        if project["media"] not in task.data:
            raise InvalidInput(
                f"task {task.task_key}: found data fields {sorted(task.data)}, expected {project['media']!r} among them"
            )
        if unknown := self._unknown(task.assignees):
            return TaskReceipt(task.task_key, None, "failed", self._who(unknown))
        cursor = connection.execute(
            "INSERT INTO tasks (project_id, task_key, identity, data, priority, due_at) VALUES (?, ?, ?, ?, ?, ?)",
            (
                project["id"],
                task.task_key,
                identity_of(task.data[project["media"]]),
                json.dumps(dict(task.data)),
                task.priority,
                task.due_at.isoformat() if task.due_at is not None else None,
            ),
        )
        task_id = cursor.lastrowid
        _enqueue(connection, task_id, task.assignees, now)
        return TaskReceipt(task.task_key, task_name(task_id or 0), "created")

    def _unknown(self, annotator_ids: Collection[str]) -> list[str]:
        return sorted(name for name in annotator_ids if not self._crowd.knows(name))

    def _who(self, unknown: Sequence[str]) -> str:
        return f"found annotators {', '.join(unknown)}, expected people declared in simulation.yaml; declare them there"

    @contextmanager
    def _call(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        """One transaction and its time: the clock, or just after the last call if the clock stands still or went back."""
        with self._store.transaction() as connection:
            now = max(microseconds(self._clock.now()), _counter(connection, "clock") + 1)
            _set_counter(connection, "clock", now)
            yield connection, now

    def _count_call(self) -> int:
        """Number of this call over the life of the database; raises TransientError when it is to be refused."""
        if self._misbehave == WELL_BEHAVED:
            return 0
        with self._store.transaction() as connection:
            call = _counter(connection, "calls") + 1
            _set_counter(connection, "calls", call)
        if self._misbehaves(self._misbehave.rate_limit, "rate limit", call):
            raise TransientError("simulated 429: too many requests, try again later")
        return call

    def _misbehaves(self, probability: float, what: str, call: int) -> bool:
        return probability > 0 and uniform(self._misbehave.seed, "call", what, str(call)) < probability


def _counter(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row["value"])


def _set_counter(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (name, value))


def _swap_served(connection: sqlite3.Connection, project_id: int, cursor: str | None) -> str | None:
    """Remembers which page is served now and returns which one was before."""
    row = connection.execute("SELECT cursor FROM served WHERE project_id = ?", (project_id,)).fetchone()
    connection.execute("INSERT OR REPLACE INTO served VALUES (?, ?)", (project_id, cursor or START))
    return None if row is None else str(row["cursor"])


def _insert_project(connection: sqlite3.Connection, spec: PlatformProjectSpec) -> int:
    cursor = connection.execute(
        "INSERT INTO projects (name, task_type, media, labels, instructions, version) VALUES (?, ?, ?, ?, ?, ?)",
        (spec.name, spec.task_type, spec.media, json.dumps(spec.labels), spec.instructions, spec.version),
    )
    return cursor.lastrowid or 0


def _require_same(spec: PlatformProjectSpec, row: sqlite3.Row) -> None:
    """What the answers of people already given depend on may not change under them."""
    for what, found, known in (
        ("labels", list(spec.labels), json.loads(row["labels"])),
        ("task type", spec.task_type, row["task_type"]),
        ("media", spec.media, row["media"]),
    ):
        if found != known:
            raise Conflict(
                f"project {spec.name!r} exists with other {what}: found {found} (version {spec.version}), expected {known} "
                f"(version {row['version']}); use another project name for a new taxonomy"
            )


def _project(connection: sqlite3.Connection, project_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM projects WHERE CAST(id AS TEXT) = ?", (project_id,)
    ).fetchone()
    if row is None:
        raise NotFound(f"found no project {project_id!r} on the simulated platform; call ensure_project first")
    return row


def _enqueue(connection: sqlite3.Connection, task_id: int | None, people: Collection[str], now: int) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO queue (task_id, annotator_id, assigned_at) VALUES (?, ?, ?)",
        [(task_id, annotator_id, now) for annotator_id in people],
    )


def _task_id(platform_task_id: str) -> int | None:
    return _number(platform_task_id, "simulated-task-")


def _number(name: str, prefix: str) -> int | None:
    digits = name.removeprefix(prefix)
    known = name.startswith(prefix) and digits.isascii() and digits.isdecimal() and len(digits) < 18
    return int(digits) if known else None

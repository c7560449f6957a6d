"""Simulated people at work: everybody takes the tasks of their queue one after the other, in the order of assignment.

Nothing runs in the background: `advance` writes down what was finished up to a moment. What it writes does not depend on
how often it is called, and no answer is ever dated before a moment that was already looked at.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from annotation_ops.adapters.platforms.simulated.behaviour import (
    Visit,
    answer,
    happens,
    seconds_needed,
    seconds_to_edit,
)
from annotation_ops.adapters.platforms.simulated.draws import pick, uniform
from annotation_ops.adapters.platforms.simulated.simulation import Misbehaviour, SimulatedPerson, Simulation
from annotation_ops.adapters.platforms.simulated.truth_book import TruthBook
from annotation_ops.domain.records import JsonObject

BREAK_SECONDS = 1800.0
"""An idle half hour ends a session: fatigue starts again from zero."""
SESSION_SECONDS = 4 * 3600.0
"""Nobody goes on longer than this without a break."""
STRANGERS = ("stranger-1", "stranger-2", "stranger-3")
FOREIGN_LABEL = "not-in-the-taxonomy"


@dataclass(slots=True)
class _Shift:
    """Where a person stands; microseconds."""

    free_at: int
    session_start: int
    session_tasks: int


@dataclass(frozen=True, slots=True)
class _Version:
    revision: int
    value: JsonObject
    state: str
    at: int


class Crowd:
    def __init__(self, simulation: Simulation, misbehave: Misbehaviour) -> None:
        self._simulation = simulation
        self._misbehave = misbehave
        self._truths = TruthBook(simulation.truth)

    def require_truth(self) -> None:
        """Raises NotFound or InvalidDocument when the truth file cannot be used."""
        self._truths.refresh()

    def knows(self, annotator_id: str) -> bool:
        return annotator_id in self._simulation.people

    def advance(self, connection: sqlite3.Connection, now: int) -> None:
        """Writes down everything finished by `now`."""
        waiting = connection.execute("SELECT DISTINCT annotator_id FROM queue WHERE waiting").fetchall()
        known = sorted(row["annotator_id"] for row in waiting if self.knows(row["annotator_id"]))
        if known:
            self._truths.refresh()
        for annotator_id in known:
            self._work(connection, self._simulation.people[annotator_id], now)

    def withdraw(self, connection: sqlite3.Connection, task_id: int, now: int) -> None:
        """Takes a task out of every queue and forgets edits that lie ahead; call after `advance`."""
        rows = connection.execute(
            "SELECT id, annotator_id FROM queue WHERE task_id = ? AND waiting", (task_id,)
        ).fetchall()
        for row in rows:
            head = connection.execute(
                "SELECT id FROM queue WHERE annotator_id = ? AND waiting ORDER BY id LIMIT 1", (row["annotator_id"],)
            ).fetchone()
            if head["id"] == row["id"]:
                # Whoever was at it starts the next task now, not back when this one was begun.
                connection.execute(
                    "UPDATE people SET free_at = max(free_at, ?) WHERE annotator_id = ?", (now, row["annotator_id"])
                )
            connection.execute("UPDATE queue SET waiting = 0 WHERE id = ?", (row["id"],))
        connection.execute("DELETE FROM changes WHERE task_id = ? AND visible_at > ?", (task_id, now))

    def _work(self, connection: sqlite3.Connection, person: SimulatedPerson, now: int) -> None:
        shift = _load_shift(connection, person.annotator_id)
        queue = connection.execute(
            "SELECT q.id, q.assigned_at, q.task_id, t.project_id, t.identity, p.labels FROM queue q "
            "JOIN tasks t ON t.id = q.task_id JOIN projects p ON p.id = t.project_id "
            "WHERE q.annotator_id = ? AND q.waiting ORDER BY q.id",
            (person.annotator_id,),
        )
        finished: list[tuple[int]] = []
        for entry in queue.fetchall():
            identity = self._truths.known_as(entry["identity"])
            if happens(person.dropout, "dropout", person, identity, simulation=self._simulation):
                finished.append((entry["id"],))
                continue
            start = max(shift.free_at, entry["assigned_at"])
            seconds = seconds_needed(person, identity, simulation=self._simulation)
            end = start + self._microseconds(seconds)
            if end > now:
                break
            self._settle_session(shift, start)
            self._record(connection, person, entry, shift.session_tasks, end, seconds)
            shift.free_at, shift.session_tasks = end, shift.session_tasks + 1
            finished.append((entry["id"],))
        connection.executemany("UPDATE queue SET waiting = 0 WHERE id = ?", finished)
        _save_shift(connection, person.annotator_id, shift)

    def _settle_session(self, shift: _Shift, start: int) -> None:
        rested = start - shift.free_at >= self._microseconds(BREAK_SECONDS)
        if rested or start - shift.session_start >= self._microseconds(SESSION_SECONDS):
            shift.session_start, shift.session_tasks = start, 0

    def _microseconds(self, seconds: float) -> int:
        """Real microseconds of a simulated duration; at least one, so that nothing is finished the moment it is asked."""
        return max(1, round(seconds * 1e6 / self._simulation.speed_up))

    def _record(
        self,
        connection: sqlite3.Connection,
        person: SimulatedPerson,
        entry: sqlite3.Row,
        session_tasks: int,
        end: int,
        seconds: float,
    ) -> None:
        visit = Visit(
            identity=self._truths.known_as(entry["identity"]),
            truth=self._truths.find(entry["identity"]),
            labels=tuple(json.loads(entry["labels"])),
            session_tasks=session_tasks,
            samples_seen=_samples_seen(connection, person.annotator_id, entry["project_id"]),
        )
        raw = {"simulated": True, "truth": "unknown" if visit.truth is None else "known"}
        annotation_id = 2 * entry["id"]
        versions = self._versions(connection, person, visit, entry["project_id"], annotation_id, end)
        _insert(
            connection, entry, annotation_id, person.annotator_id, versions, seconds, raw, self._back(annotation_id)
        )
        if self._misbehaves(self._misbehave.strangers, "stranger", annotation_id):
            u = uniform(self._misbehave.seed, "stranger", str(annotation_id))
            intruder = [_Version(1, {"label": pick(u, visit.labels)}, "submitted", end)]
            _insert(connection, entry, annotation_id + 1, pick(u, STRANGERS), intruder, seconds, raw, 0)

    def _versions(
        self,
        connection: sqlite3.Connection,
        person: SimulatedPerson,
        visit: Visit,
        project_id: int,
        annotation_id: int,
        end: int,
    ) -> Iterator[_Version]:
        """The answer, and its edit and deletion if there are to be any."""
        if happens(person.skips, "skip", person, visit.identity, simulation=self._simulation):
            yield _Version(1, {}, "skipped", end)
            return
        label = self._first_answer(connection, person, visit, project_id)
        if self._misbehaves(self._misbehave.foreign_labels, "foreign label", annotation_id):
            label = FOREIGN_LABEL
        yield _Version(1, {"label": label}, "submitted", end)
        delay = self._microseconds(seconds_to_edit(person, visit.identity, simulation=self._simulation))
        if happens(person.late_edit, "edit", person, visit.identity, simulation=self._simulation):
            second = answer(person, visit, simulation=self._simulation, look="second")
            yield _Version(2, {"label": second}, "submitted", end + delay)
        if happens(person.deletes, "delete", person, visit.identity, simulation=self._simulation):
            yield _Version(3, {}, "deleted", end + 2 * delay)

    def _first_answer(
        self, connection: sqlite3.Connection, person: SimulatedPerson, visit: Visit, project_id: int
    ) -> str:
        key = (project_id, person.annotator_id, visit.identity)
        known = connection.execute(
            "SELECT label FROM first_answers WHERE project_id = ? AND annotator_id = ? AND identity = ?", key
        ).fetchone()
        if known is not None:
            return str(known["label"])
        label = answer(person, visit, simulation=self._simulation)
        connection.execute("INSERT INTO first_answers VALUES (?, ?, ?, ?)", (*key, label))
        return label

    def _misbehaves(self, probability: float, what: str, annotation_id: int) -> bool:
        return probability > 0 and uniform(self._misbehave.seed, "is", what, str(annotation_id)) < probability

    def _back(self, annotation_id: int) -> int:
        """By how many microseconds the server's clock is behind for this annotation."""
        if not self._misbehaves(self._misbehave.clock_back, "clock back", annotation_id):
            return 0
        return round(self._misbehave.clock_back_seconds * 1e6)


def _insert(
    connection: sqlite3.Connection,
    entry: sqlite3.Row,
    annotation_id: int,
    annotator_id: str,
    versions: Iterator[_Version] | list[_Version],
    seconds: float,
    raw: JsonObject,
    back: int,
) -> None:
    submitted_at: int | None = None
    for version in versions:
        submitted_at = version.at - back if submitted_at is None else submitted_at
        connection.execute(
            "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                annotation_id,
                version.revision,
                entry["project_id"],
                entry["task_id"],
                annotator_id,
                json.dumps(version.value),
                version.state,
                submitted_at,
                version.at - back,
                version.at,
                seconds,
                json.dumps(raw),
            ),
        )


def _samples_seen(connection: sqlite3.Connection, annotator_id: str, project_id: int) -> int:
    """Samples of the project the person answered so far, in any batch."""
    query = "SELECT count(*) FROM first_answers WHERE project_id = ? AND annotator_id = ?"
    return int(connection.execute(query, (project_id, annotator_id)).fetchone()[0])


def _load_shift(connection: sqlite3.Connection, annotator_id: str) -> _Shift:
    row = connection.execute("SELECT * FROM people WHERE annotator_id = ?", (annotator_id,)).fetchone()
    return _Shift(0, 0, 0) if row is None else _Shift(row["free_at"], row["session_start"], row["session_tasks"])


def _save_shift(connection: sqlite3.Connection, annotator_id: str, shift: _Shift) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?)",
        (annotator_id, shift.free_at, shift.session_start, shift.session_tasks),
    )

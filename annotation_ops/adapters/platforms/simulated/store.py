"""The simulator's own database: a SQLite file that any number of processes may use at once.

Every call is one IMMEDIATE transaction with its own connection, so calls happen one after the other, as on a server with
one database, and nothing is left open.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from annotation_ops.domain.errors import InvalidInput, TransientError

BUSY_SECONDS = 30.0
"""How long a call waits for the others; a call with 1,000 tasks holds the file for about 50 ms."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS served (project_id INTEGER PRIMARY KEY, cursor TEXT);
CREATE TABLE IF NOT EXISTS projects (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, task_type TEXT NOT NULL, media TEXT NOT NULL,
    labels TEXT NOT NULL, instructions TEXT NOT NULL, version TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, project_id INTEGER NOT NULL REFERENCES projects, task_key TEXT NOT NULL,
    identity TEXT NOT NULL, data TEXT NOT NULL, priority INTEGER NOT NULL, due_at TEXT, withdrawn INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS tasks_by_key ON tasks (project_id, task_key, id);
CREATE TABLE IF NOT EXISTS queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT, task_id INTEGER NOT NULL REFERENCES tasks, annotator_id TEXT NOT NULL,
    assigned_at INTEGER NOT NULL, waiting INTEGER NOT NULL DEFAULT 1, UNIQUE (task_id, annotator_id));
CREATE INDEX IF NOT EXISTS queue_waiting ON queue (annotator_id, id) WHERE waiting;
CREATE TABLE IF NOT EXISTS people (
    annotator_id TEXT PRIMARY KEY, free_at INTEGER NOT NULL, session_start INTEGER NOT NULL, session_tasks INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS first_answers (
    project_id INTEGER NOT NULL, annotator_id TEXT NOT NULL, identity TEXT NOT NULL, label TEXT NOT NULL,
    PRIMARY KEY (project_id, annotator_id, identity)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changes (
    annotation_id INTEGER NOT NULL, revision INTEGER NOT NULL, project_id INTEGER NOT NULL, task_id INTEGER NOT NULL,
    annotator_id TEXT NOT NULL, value TEXT NOT NULL, state TEXT NOT NULL, submitted_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, visible_at INTEGER NOT NULL, lead_seconds REAL NOT NULL, raw TEXT NOT NULL,
    PRIMARY KEY (annotation_id, revision)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS changes_in_order ON changes (project_id, updated_at, annotation_id);
"""
"""Times are whole microseconds since 1970 (UTC). `changes` holds every version of every annotation with the moment from
which it can be seen; the newest visible one is what the platform shows."""


class SimulatedStore:
    def __init__(self, database: Path) -> None:
        """Creates the file and its folder. Raises InvalidInput when the file is something else, TransientError."""
        self._database = database
        database.parent.mkdir(parents=True, exist_ok=True)
        self._use_write_ahead_log()
        with self.transaction() as connection:
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commits on normal exit, rolls back on an exception."""
        with self._faults(), closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._database, timeout=BUSY_SECONDS, isolation_level=None)
        connection.row_factory = sqlite3.Row
        # A killed process loses nothing without fsync; a power cut may, and simulated answers can be made again.
        connection.execute("PRAGMA synchronous=OFF")
        return connection

    def _use_write_ahead_log(self) -> None:
        """Changing the journal mode does not wait for other processes by itself: several first starts at once collide."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                with self._faults(), closing(self._connect()) as connection:
                    connection.execute("PRAGMA journal_mode=WAL")
                return
            except TransientError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise TransientError(f"the simulated platform's database {self._database}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise InvalidInput(
                f"found {self._database} ({error}), expected a database of the simulated platform; name another file"
            ) from error

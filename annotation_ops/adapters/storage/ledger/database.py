"""One ledger database: its address, its connections, and the lock that makes all writers take turns."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError

from annotation_ops.adapters.storage.ledger.faults import domain_error, shown
from annotation_ops.domain.errors import InvalidInput, PermanentError

LOCK_TIMEOUT_SECONDS = 30
"""How long a writer waits for its turn. Longer than any bulk write (10,000 rows take well under 3 s)."""

WRITERS_LOCK = 0x616E6E6F_6C6564  # "anno" "led"; any constant that no other program takes in the same database.


def parse_url(url: str) -> URL:
    """`sqlite:///path` or `postgresql://user@host/database` (any driver is replaced by pg8000). Raises InvalidInput."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidInput(f"ledger address: found text that is no URL, expected {EXAMPLES}.") from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+pg8000")
    if backend != "sqlite":
        raise InvalidInput(f"ledger address: found a {backend} database, expected {EXAMPLES}.")
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise InvalidInput(f"ledger address: found no file to keep it in, expected {EXAMPLES}. Name a file.")
    return parsed.set(drivername="sqlite", database=str(Path(parsed.database).absolute()))


EXAMPLES = "sqlite:///folder/ledger.sqlite or postgresql://user:password@host/database"


class Database:
    """Connections to one database. Safe in threads and after a fork: a child process opens its own."""

    def __init__(self, url: str, *, lock_timeout_seconds: int = LOCK_TIMEOUT_SECONDS) -> None:
        self.url = parse_url(url)
        self._lock_timeout = lock_timeout_seconds
        self._engine: Engine | None = None
        self._process = os.getpid()
        self._guard = threading.Lock()

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return Path(self.url.database or "")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self.engine().connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection that holds the writers' lock until it commits."""
        with self.engine().connect() as connection:
            connection = connection.execution_options(ledger_writes=True)
            with connection.begin():
                if not self.is_sqlite:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{self._lock_timeout}s'")
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")
                yield connection

    def engine(self) -> Engine:
        with self._guard:
            if self._engine is not None and self._process != os.getpid():
                # The parent's sockets are not ours to close.
                self._engine.dispose(close=False)
                self._engine = None
            if self._engine is None:
                self._engine = self._sqlite_engine() if self.is_sqlite else _postgres_engine(self.url)
                self._process = os.getpid()
                sa.event.listen(self._engine, "handle_error", self._translate)
            return self._engine

    def close(self) -> None:
        with self._guard:
            if self._engine is not None:
                self._engine.dispose(close=self._process == os.getpid())
                self._engine = None

    def _sqlite_engine(self) -> Engine:
        # mode=rw: a mistyped path is an error, not a new empty ledger; `initialise` creates the file.
        address = URL.create("sqlite", database=f"file:{quote(str(self.path))}", query={"mode": "rw", "uri": "true"})
        engine = sa.create_engine(address, max_overflow=-1)
        sa.event.listen(engine, "connect", self._prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _prepare_sqlite(self, connection: Any, _record: object) -> None:
        # None: the driver must not open transactions by itself, as it would not take the lock before the first read.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {self._lock_timeout * 1000}")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    def _translate(self, context: ExceptionContext) -> BaseException | None:
        return domain_error(context.original_exception, self.url)


def _postgres_engine(url: URL) -> Engine:
    try:
        engine = sa.create_engine(url, max_overflow=-1)
    except ModuleNotFoundError as error:
        raise PermanentError(
            f"ledger {shown(url)}: found no PostgreSQL driver, expected pg8000. "
            "Install it: pip install 'annotation-ops[postgres]'."
        ) from error
    # pg8000 sends one round trip a row, unless rows are gathered into one INSERT of many VALUES.
    engine.dialect.use_insertmanyvalues_wo_returning = True

    @sa.event.listens_for(engine, "checkout")
    def replace_dead_connection(connection: Any, _record: object, _proxy: object) -> None:
        # In place of `pool_pre_ping`, which does not know the OSError that pg8000 raises for a reset connection.
        try:
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            cursor.close()
            connection.rollback()
        except (engine.dialect.loaded_dbapi.Error, OSError) as error:
            raise DisconnectionError from error

    return engine


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("ledger_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

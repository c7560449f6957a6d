"""Creates or migrates the schema, once, however many processes ask at the same time."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock, Timeout
from sqlalchemy.engine import Connection

from annotation_ops.adapters.storage.ledger.database import Database
from annotation_ops.adapters.storage.ledger.faults import domain_error, shown
from annotation_ops.domain.errors import Conflict, TransientError

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_SECONDS = 120
"""Creating the schema takes about 1 s; this leaves room for a migration of large tables."""


def migrate(database: Database) -> None:
    """Brings the schema to this package's version. Raises Conflict for a ledger of a newer version, TransientError."""
    if database.is_sqlite:
        with _file_lock(database):
            _create_file(database)
            _upgrade(database)
    else:
        _upgrade(database)


@contextmanager
def _file_lock(database: Database) -> Iterator[None]:
    path = database.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock"), timeout=LOCK_SECONDS):
            yield
    except Timeout as error:
        raise TransientError(
            f"ledger {shown(database.url)}: found another process setting it up for over {LOCK_SECONDS} s, expected "
            "a turn. Wait for that process or stop it, then try again."
        ) from error
    except OSError as error:
        raise TransientError(
            f"ledger {shown(database.url)}: found a folder that cannot be written ({error.strerror}), expected a "
            "writable one. Mend its permissions or name another."
        ) from error


def _create_file(database: Database) -> None:
    if not database.path.exists():
        # Readable by its owner only: it names people, if by pseudonyms.
        database.path.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(database.path, isolation_level=None)) as connection:
            # Kept in the file: readers go on while one process writes.
            connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error as error:
        raise domain_error(error, database.url) or error from error


def _upgrade(database: Database) -> None:
    with database.writing() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        _refuse_newer(database, config, connection)
        command.upgrade(config, "head")


def _refuse_newer(database: Database, config: Config, connection: Connection) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = set(MigrationContext.configure(connection).get_current_heads())
    if not found <= known:
        raise Conflict(
            f"ledger {shown(database.url)}: found the schema version {', '.join(sorted(found - known))}, expected one "
            f"of {', '.join(sorted(known))}. It was made by a newer annotation-ops: install that one."
        )

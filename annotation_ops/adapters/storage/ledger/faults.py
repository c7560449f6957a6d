"""Database errors in the words of domain.errors: what was found, in which ledger, and how to mend it."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.engine import URL

from annotation_ops.domain.errors import AnnotationOpsError, Conflict, InvalidInput, PermanentError, TransientError

NOT_INITIALISED = "expected the ledger's tables. Call `Ledger.initialise()` first"

# PostgreSQL error codes by class or code, https://www.postgresql.org/docs/current/errcodes-appendix.html
POSTGRES_TRANSIENT = ("08", "40", "53", "55P03", "57")
POSTGRES_REFUSED = ("28", "3D000", "42501")
POSTGRES_NO_TABLE = ("42P01", "42703")


def shown(url: URL) -> str:
    """The address without its password."""
    return url.render_as_string(hide_password=True)


def domain_error(error: BaseException, url: URL) -> AnnotationOpsError | None:
    """The error to raise instead; None leaves the original, for what is no database error (an interrupt, say)."""
    where = f"ledger {shown(url)}"
    if isinstance(error, sqlite3.Error):
        if not Path(url.database or "").exists():
            return Conflict(f"{where}: found no such file, {NOT_INITIALISED}.")
        return _from_sqlite(error, where)
    if isinstance(error, OSError):
        return _unreachable(str(error), where)
    if type(error).__module__.startswith("pg8000"):
        return _from_postgres(error, where)
    if isinstance(error, OverflowError):
        return InvalidInput(f"{where}: found a number out of range ({error}), expected one of at most 64 bits.")
    return None


def _unreachable(found: str, where: str) -> TransientError:
    return TransientError(
        f"{where}: found no database to talk to ({found}), expected a reachable one. "
        "Check that the server runs and that the address is right, then try again."
    )


def _locked(where: str) -> TransientError:
    return TransientError(
        f"{where}: found it locked by another process for too long, expected a turn to write. "
        "Wait for that process or stop it, then try again."
    )


def _from_sqlite(error: sqlite3.Error, where: str) -> AnnotationOpsError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return _locked(where)
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return TransientError(f"{where}: found the disk failing or full ({error}), expected to write. Free some space.")
    if name.startswith("SQLITE_CANTOPEN"):
        return TransientError(
            f"{where}: found a file that cannot be opened, expected it readable. Mend its permissions."
        )
    if name.startswith("SQLITE_CONSTRAINT"):
        return _constraint(str(error), where)
    if "no such table" in str(error) or "no such column" in str(error):
        return Conflict(f"{where}: found {error}, {NOT_INITIALISED}.")
    return PermanentError(f"{where}: found the database refusing the work ({error}), expected it to be done.")


def _from_postgres(error: BaseException, where: str) -> AnnotationOpsError:
    detail = _told_by_server(error)
    if detail is None:
        return _unreachable(str(error), where)
    code, message = detail.get("C", ""), detail.get("M", "")
    if code == "55P03":
        return _locked(where)
    if code.startswith(POSTGRES_TRANSIENT):
        return TransientError(
            f"{where}: found the server unable just now ({message}), expected it to answer. Try again."
        )
    if code.startswith("23"):
        return _constraint(message, where)
    if code.startswith(POSTGRES_NO_TABLE):
        return Conflict(f"{where}: found {message}, {NOT_INITIALISED}.")
    if code.startswith("22"):
        return InvalidInput(f"{where}: found a value the database cannot hold ({message}), expected a smaller one.")
    if code.startswith(POSTGRES_REFUSED):
        return PermanentError(f"{where}: found access refused ({message}), expected it granted. Mend user or database.")
    return PermanentError(f"{where}: found the database refusing the work ({code} {message}), expected it to be done.")


def _told_by_server(error: BaseException | None) -> Mapping[str, str] | None:
    """The server's own words, which pg8000 hides behind a network error when it fails to say goodbye after them."""
    while error is not None:
        if error.args and isinstance(error.args[0], dict):
            return error.args[0]
        error = error.__context__
    return None


def _constraint(found: str, where: str) -> Conflict:
    return Conflict(
        f"{where}: found rows that break a rule of the schema ({found}), expected each key once and every row it "
        "refers to. Write what is referred to first, or take another key."
    )

"""Append-only insertion: an equal row again changes nothing, another row under the same key is a Conflict."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from annotation_ops.adapters.storage.ledger import tables
from annotation_ops.adapters.storage.ledger.rows import Row
from annotation_ops.domain.errors import Conflict, NotFound

Key: TypeAlias = tuple[Any, ...]

KEYS_PER_QUERY = 1000
"""SQLite takes 32,766 parameters a statement, PostgreSQL 65,535."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Columns of a table that name a row of `table` by its columns `names`."""

    columns: tuple[str, ...]
    table: sa.Table
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AppendOnly:
    """How rows of a table are told apart. In tables written in bulk the first key column is the selective one."""

    table: sa.Table
    key: tuple[str, ...]
    later: frozenset[str] = frozenset()
    """Columns that the ledger itself changes after the insertion, or that may differ: no part of a row's content."""
    refers_to: Reference | None = None


_OF_ATTEMPT = Reference(("project", "batch_id", "attempt"), tables.ATTEMPTS, ("project", "batch_id", "number"))
_OF_TASK = Reference(("task_key",), tables.TASKS, ("task_key",))

BATCHES = AppendOnly(tables.BATCHES, ("project", "batch_id"))
ATTEMPTS = AppendOnly(
    tables.ATTEMPTS,
    ("project", "batch_id", "number"),
    later=frozenset(
        {"state", "due_at", "dispatched_at", "completed_at", "judged_at", "published_at", "state_reason", "held_from"}
    ),
    refers_to=Reference(("project", "batch_id"), tables.BATCHES, ("project", "batch_id")),
)
TASKS = AppendOnly(
    tables.TASKS,
    ("task_key",),
    later=frozenset({"platform_task_id", "unroutable_reason"}),
    refers_to=_OF_ATTEMPT,
)
ASSIGNMENTS = AppendOnly(
    tables.ASSIGNMENTS, ("task_key", "annotator_id"), later=frozenset({"state"}), refers_to=_OF_TASK
)
# A sweep that reads an annotation again sees it at another time; that is no other annotation.
ANNOTATIONS = AppendOnly(tables.ANNOTATIONS, ("annotation_key",), later=frozenset({"collected_at"}), refers_to=_OF_TASK)
REVIEWS = AppendOnly(
    tables.REVIEWS,
    ("review_key",),
    refers_to=Reference(("annotation_key",), tables.ANNOTATIONS, ("annotation_key",)),
)
VERDICTS = AppendOnly(
    tables.VERDICTS, ("project", "batch_id", "attempt", "criteria", "evidence", "override"), refers_to=_OF_ATTEMPT
)
DOCUMENT_VERSIONS = AppendOnly(tables.DOCUMENT_VERSIONS, ("project", "kind", "version"))
QUARANTINE = AppendOnly(tables.QUARANTINE, ("project", "kind", "key", "content"), later=frozenset({"at"}))
ACCESS_TOKENS = AppendOnly(tables.ACCESS_TOKENS, ("token_hash",), later=frozenset({"revoked_at"}))
LABEL_COMMITS = AppendOnly(tables.LABEL_COMMITS, ("project", "commit_id"), refers_to=_OF_ATTEMPT)


def insert(connection: Connection, kind: AppendOnly, rows: Iterable[Row]) -> int:
    """Inserts the rows that are not there and returns how many. Raises Conflict; NotFound for a missing parent row."""
    wanted: dict[Key, Row] = {}
    for row in rows:
        _refuse_other_content(kind, wanted.setdefault(_key(kind.key, row), row), row)
    there = {_key(kind.key, row): row for row in _fetch(connection, kind.table, kind.key, wanted.keys())}
    for key, row in there.items():
        _refuse_other_content(kind, row, wanted[key])
    new = [row for key, row in wanted.items() if key not in there]
    if new:
        _refuse_missing_parent(connection, kind, new)
        with connection.begin_nested():
            connection.execute(sa.insert(kind.table), new)
    return len(new)


def chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    stream = iter(keys)
    while chunk := list(islice(stream, KEYS_PER_QUERY)):
        yield chunk


def _key(names: Sequence[str], row: Row) -> Key:
    return tuple(row[name] for name in names)


def _fetch(connection: Connection, table: sa.Table, names: tuple[str, ...], keys: Collection[Key]) -> Iterator[Row]:
    """The rows with these keys; by equality for one key, else by the first column of the key."""
    if len(keys) == 1:
        (key,) = keys
        where = sa.and_(*(table.c[name] == value for name, value in zip(names, key, strict=True)))
        yield from (dict(row) for row in connection.execute(sa.select(table).where(where)).mappings())
        return
    for chunk in chunks(dict.fromkeys(key[0] for key in keys)):
        for row in connection.execute(sa.select(table).where(table.c[names[0]].in_(chunk))).mappings():
            if _key(names, dict(row)) in keys:
                yield dict(row)


def _refuse_other_content(kind: AppendOnly, recorded: Row, offered: Row) -> None:
    differing = [name for name, value in offered.items() if name not in kind.later and recorded[name] != value]
    if differing:
        found = ", ".join(
            f"{name} {str(offered[name])[:80]!r} (recorded {str(recorded[name])[:80]!r})" for name in differing
        )
        raise Conflict(
            f"ledger table {kind.table.name}, key {_key(kind.key, offered)}: found {found}, expected the recorded "
            "content, as rows are never replaced. Take a new key (a new version, attempt or revision)."
        )


def _refuse_missing_parent(connection: Connection, kind: AppendOnly, rows: Sequence[Row]) -> None:
    if kind.refers_to is None:
        return
    parents = kind.refers_to
    wanted = dict.fromkeys(_key(parents.columns, row) for row in rows)
    there = {_key(parents.names, row) for row in _fetch(connection, parents.table, parents.names, wanted.keys())}
    missing = [key for key in wanted if key not in there]
    if missing:
        raise NotFound(
            f"ledger table {kind.table.name}: found rows of {len(missing)} unknown {parents.table.name}, first "
            f"{missing[0]}, expected {parents.table.name} that are there. Add those first."
        )

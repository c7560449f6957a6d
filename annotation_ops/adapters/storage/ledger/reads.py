"""What the ledger answers: one query each, ordered so that both databases answer alike."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from annotation_ops.adapters.storage.ledger import rows
from annotation_ops.adapters.storage.ledger.insertion import chunks
from annotation_ops.adapters.storage.ledger.tables import (
    ACCESS_TOKENS,
    ANNOTATIONS,
    ASSIGNMENTS,
    ATTEMPTS,
    AUDIT,
    BATCHES,
    CURSORS,
    DOCUMENT_VERSIONS,
    INCIDENTS,
    LABEL_COMMITS,
    QUARANTINE,
    REVIEWS,
    TASKS,
    VERDICTS,
)
from annotation_ops.domain.access import AccessToken
from annotation_ops.domain.batches import BatchState, attempt_key
from annotation_ops.domain.errors import NotFound
from annotation_ops.domain.records import (
    Annotation,
    Assignment,
    AssignmentState,
    Attempt,
    AuditEntry,
    Batch,
    Incident,
    LabelCommit,
    Quarantined,
    Review,
    Task,
    VerdictRecord,
)


def batches(connection: Connection, project: str) -> tuple[Batch, ...]:
    query = sa.select(BATCHES).where(BATCHES.c.project == project).order_by(BATCHES.c.created_at, BATCHES.c.batch_id)
    return tuple(map(rows.batch_of, connection.execute(query).mappings()))


def batch(connection: Connection, project: str, batch_id: str) -> Batch:
    query = sa.select(BATCHES).where(BATCHES.c.project == project, BATCHES.c.batch_id == batch_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound(
            f"project {project}: found no batch {batch_id!r}, expected one of its batches. "
            "`annotation-ops status` lists them."
        )
    return rows.batch_of(row)


def attempts(connection: Connection, project: str, states: Collection[BatchState] | None) -> tuple[Attempt, ...]:
    query = sa.select(ATTEMPTS).where(ATTEMPTS.c.project == project).order_by(ATTEMPTS.c.batch_id, ATTEMPTS.c.number)
    if states is not None:
        query = query.where(ATTEMPTS.c.state.in_(sorted(str(state) for state in states)))
    return tuple(map(rows.attempt_of, connection.execute(query).mappings()))


def attempt(connection: Connection, project: str, batch_id: str, number: int) -> Attempt:
    query = sa.select(ATTEMPTS).where(
        ATTEMPTS.c.project == project, ATTEMPTS.c.batch_id == batch_id, ATTEMPTS.c.number == number
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound(
            f"project {project}: found no attempt {attempt_key(batch_id, number)!r}, expected a planned one. "
            "`annotation-ops status` lists them."
        )
    return rows.attempt_of(row)


def tasks(connection: Connection, project: str, batch_id: str, number: int) -> tuple[Task, ...]:
    query = sa.select(TASKS).where(*_of_attempt(project, batch_id, number)).order_by(TASKS.c.position, TASKS.c.task_key)
    return tuple(map(rows.task_of, connection.execute(query).mappings()))


def tasks_by_key(connection: Connection, task_keys: Collection[str]) -> dict[str, Task]:
    found: dict[str, Task] = {}
    for chunk in chunks(sorted(set(task_keys))):
        query = sa.select(TASKS).where(TASKS.c.task_key.in_(chunk))
        found |= {row["task_key"]: rows.task_of(row) for row in connection.execute(query).mappings()}
    return found


def batched_samples(connection: Connection, project: str, before_day: str | None) -> frozenset[tuple[str, str]]:
    query = sa.select(TASKS.c.sample_id, TASKS.c.digest).where(TASKS.c.project == project).distinct()
    if before_day is not None:
        query = query.join(
            BATCHES, sa.and_(BATCHES.c.project == TASKS.c.project, BATCHES.c.batch_id == TASKS.c.batch_id)
        ).where(BATCHES.c.day < before_day)
    return frozenset((sample_id, digest) for sample_id, digest in connection.execute(query))


def assignments(connection: Connection, project: str, batch_id: str, number: int | None) -> tuple[Assignment, ...]:
    query = (
        sa.select(ASSIGNMENTS)
        .join(TASKS, TASKS.c.task_key == ASSIGNMENTS.c.task_key)
        .where(*_of_attempt(project, batch_id, number))
        .order_by(TASKS.c.attempt, TASKS.c.position, TASKS.c.task_key, ASSIGNMENTS.c.annotator_id)
    )
    return tuple(map(rows.assignment_of, connection.execute(query).mappings()))


def open_assignments(connection: Connection, project: str) -> dict[str, int]:
    in_annotation = sa.and_(
        ATTEMPTS.c.project == TASKS.c.project,
        ATTEMPTS.c.batch_id == TASKS.c.batch_id,
        ATTEMPTS.c.number == TASKS.c.attempt,
        ATTEMPTS.c.state == BatchState.IN_ANNOTATION.value,
    )
    query = (
        sa.select(ASSIGNMENTS.c.annotator_id, sa.func.count())
        .join(TASKS, TASKS.c.task_key == ASSIGNMENTS.c.task_key)
        .join(ATTEMPTS, in_annotation)
        .where(TASKS.c.project == project, ASSIGNMENTS.c.state == AssignmentState.OPEN.value)
        .group_by(ASSIGNMENTS.c.annotator_id)
        .order_by(ASSIGNMENTS.c.annotator_id)
    )
    return dict(tuple(row) for row in connection.execute(query))


def annotations(connection: Connection, project: str, batch_id: str, number: int) -> tuple[Annotation, ...]:
    later = ANNOTATIONS.alias("later")
    superseded = sa.exists().where(
        later.c.task_key == ANNOTATIONS.c.task_key,
        later.c.annotator_id == ANNOTATIONS.c.annotator_id,
        later.c.revision > ANNOTATIONS.c.revision,
    )
    query = (
        sa.select(ANNOTATIONS)
        .join(TASKS, TASKS.c.task_key == ANNOTATIONS.c.task_key)
        .where(*_of_attempt(project, batch_id, number), ~superseded, ANNOTATIONS.c.deleted.is_(False))
        .order_by(TASKS.c.position, TASKS.c.task_key, ANNOTATIONS.c.annotator_id)
    )
    return tuple(map(rows.annotation_of, connection.execute(query).mappings()))


def annotation_history(connection: Connection, task_key: str) -> tuple[Annotation, ...]:
    query = (
        sa.select(ANNOTATIONS)
        .where(ANNOTATIONS.c.task_key == task_key)
        .order_by(ANNOTATIONS.c.annotator_id, ANNOTATIONS.c.revision)
    )
    return tuple(map(rows.annotation_of, connection.execute(query).mappings()))


def reviews(connection: Connection, project: str, batch_id: str, number: int) -> tuple[Review, ...]:
    query = (
        sa.select(REVIEWS)
        .join(ANNOTATIONS, ANNOTATIONS.c.annotation_key == REVIEWS.c.annotation_key)
        .join(TASKS, TASKS.c.task_key == ANNOTATIONS.c.task_key)
        .where(*_of_attempt(project, batch_id, number))
        .order_by(REVIEWS.c.reviewed_at, REVIEWS.c.review_key)
    )
    return tuple(map(rows.review_of, connection.execute(query).mappings()))


def verdicts(connection: Connection, project: str, batch_id: str | None) -> tuple[VerdictRecord, ...]:
    query = sa.select(VERDICTS).where(VERDICTS.c.project == project).order_by(VERDICTS.c.ordinal)
    if batch_id is not None:
        query = query.where(VERDICTS.c.batch_id == batch_id)
    return tuple(map(rows.verdict_of, connection.execute(query).mappings()))


def document_body(connection: Connection, project: str, kind: str, version: str) -> str:
    query = sa.select(DOCUMENT_VERSIONS.c.body).where(
        DOCUMENT_VERSIONS.c.project == project,
        DOCUMENT_VERSIONS.c.kind == kind,
        DOCUMENT_VERSIONS.c.version == version,
    )
    body: str | None = connection.execute(query).scalar()
    if body is None:
        raise NotFound(
            f"project {project}: found no {kind} of version {version!r} in the ledger, expected one that a batch was "
            "planned with. Name another version."
        )
    return body


def quarantined(connection: Connection, project: str, kind: str | None) -> tuple[Quarantined, ...]:
    query = sa.select(QUARANTINE).where(QUARANTINE.c.project == project).order_by(QUARANTINE.c.ordinal)
    if kind is not None:
        query = query.where(QUARANTINE.c.kind == kind)
    return tuple(map(rows.quarantined_of, connection.execute(query).mappings()))


def label_commits(connection: Connection, project: str) -> tuple[LabelCommit, ...]:
    query = sa.select(LABEL_COMMITS).where(LABEL_COMMITS.c.project == project).order_by(LABEL_COMMITS.c.ordinal)
    return tuple(map(rows.label_commit_of, connection.execute(query).mappings()))


def incidents(connection: Connection, project: str) -> tuple[Incident, ...]:
    query = (
        sa.select(INCIDENTS)
        .where(INCIDENTS.c.project == project)
        .order_by(INCIDENTS.c.opened_at, INCIDENTS.c.incident_id)
    )
    return tuple(map(rows.incident_of, connection.execute(query).mappings()))


def cursor(connection: Connection, name: str) -> str | None:
    value: str | None = connection.execute(sa.select(CURSORS.c.value).where(CURSORS.c.name == name)).scalar()
    return value


def newest_entry(connection: Connection) -> AuditEntry | None:
    row = connection.execute(sa.select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(1)).first()
    return None if row is None else AuditEntry(*row)


def audit_entries(connection: Connection, after: int, limit: int) -> tuple[AuditEntry, ...]:
    query = sa.select(AUDIT).where(AUDIT.c.seq > after).order_by(AUDIT.c.seq).limit(limit)
    return tuple(AuditEntry(*row) for row in connection.execute(query))


def access_tokens(connection: Connection, token_hash: str | None = None) -> tuple[AccessToken, ...]:
    query = sa.select(ACCESS_TOKENS).order_by(ACCESS_TOKENS.c.created_at, ACCESS_TOKENS.c.name)
    if token_hash is not None:
        query = query.where(ACCESS_TOKENS.c.token_hash == token_hash)
    return tuple(map(rows.access_token_of, connection.execute(query).mappings()))


def _of_attempt(project: str, batch_id: str, number: int | None) -> list[sa.ColumnElement[Any]]:
    of_batch = [TASKS.c.project == project, TASKS.c.batch_id == batch_id]
    return of_batch if number is None else [*of_batch, TASKS.c.attempt == number]

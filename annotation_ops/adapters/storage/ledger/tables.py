"""The ledger's schema: the same on SQLite and PostgreSQL.

Times are whole microseconds since 1970 UTC, JSON is canonical text and text sorts by code point on both databases, so
the same records come back from either, in the same order. A change here needs a step in `migrations/versions`.
"""

import sqlalchemy as sa

NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}
METADATA = sa.MetaData(naming_convention=NAMES)

# Collation "C" sorts by code point, as SQLite does; a database's own collation depends on the server's locale.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
MICROSECONDS = sa.BigInteger()
# SQLite numbers rows by itself only for a column of type INTEGER.
ORDINAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, TEXT, primary_key=True)


def _text(name: str, *, optional: bool = False) -> sa.Column[str]:
    return sa.Column(name, TEXT, nullable=optional)


def _time(name: str, *, optional: bool = False) -> sa.Column[int]:
    return sa.Column(name, MICROSECONDS, nullable=optional)


def _to_batch() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["project", "batch_id"], ["batches.project", "batches.batch_id"])


def _to_attempt() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["project", "batch_id", "attempt"], ["attempts.project", "attempts.batch_id", "attempts.number"]
    )


BATCHES = sa.Table(
    "batches",
    METADATA,
    _key("project"),
    _key("batch_id"),
    _text("day"),
    _text("purpose"),
    _text("versions"),
    sa.Column("overlap", sa.Integer, nullable=False),
    _time("created_at"),
    _text("model_version", optional=True),
    # No foreign key: an incident names its relabel batch too, and either may be written first.
    _text("incident_id", optional=True),
)

ATTEMPTS = sa.Table(
    "attempts",
    METADATA,
    _key("project"),
    _key("batch_id"),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    _text("state"),
    _time("planned_at"),
    _time("due_at", optional=True),
    _time("dispatched_at", optional=True),
    _time("completed_at", optional=True),
    _time("judged_at", optional=True),
    _time("published_at", optional=True),
    _text("state_reason"),
    _text("held_from", optional=True),
    _to_batch(),
    sa.Index(None, "project", "state"),
)

TASKS = sa.Table(
    "tasks",
    METADATA,
    _key("task_key"),
    _text("project"),
    _text("batch_id"),
    sa.Column("attempt", sa.Integer, nullable=False),
    _text("sample_id"),
    _text("digest"),
    _text("uri"),
    sa.Column("position", sa.Integer, nullable=False),
    _text("slices"),
    _text("selection_reason"),
    sa.Column("inclusion_probability", sa.Double),
    sa.Column("uncertainty", sa.Double),
    _text("platform_task_id", optional=True),
    _text("unroutable_reason", optional=True),
    _to_attempt(),
    sa.UniqueConstraint("project", "batch_id", "attempt", "sample_id", "digest"),
)

ASSIGNMENTS = sa.Table(
    "assignments",
    METADATA,
    _key("task_key"),
    _key("annotator_id"),
    _text("state"),
    _text("explain"),
    _time("assigned_at"),
    _time("due_at", optional=True),
    _text("purpose"),
    sa.ForeignKeyConstraint(["task_key"], ["tasks.task_key"]),
)

ANNOTATIONS = sa.Table(
    "annotations",
    METADATA,
    _key("annotation_key"),
    _text("task_key"),
    _text("annotator_id"),
    _text("value"),
    _time("submitted_at"),
    _time("collected_at"),
    sa.Column("lead_time_seconds", sa.Double),
    _text("platform_annotation_id"),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.ForeignKeyConstraint(["task_key"], ["tasks.task_key"]),
    sa.UniqueConstraint("task_key", "annotator_id", "revision"),
)

REVIEWS = sa.Table(
    "reviews",
    METADATA,
    _key("review_key"),
    _text("annotation_key"),
    _text("reviewer_id"),
    _text("decision"),
    _text("comment"),
    _time("reviewed_at"),
    sa.ForeignKeyConstraint(["annotation_key"], ["annotations.annotation_key"]),
    sa.Index(None, "annotation_key"),
)

VERDICTS = sa.Table(
    "verdicts",
    METADATA,
    sa.Column("ordinal", ORDINAL, primary_key=True),
    _text("project"),
    _text("batch_id"),
    sa.Column("attempt", sa.Integer, nullable=False),
    _text("outcome"),
    _text("criteria"),
    _text("document"),
    _time("judged_at"),
    _text("judged_by"),
    _text("reason"),
    # "" for the system's own verdict, of which there is one per attempt, criteria and evidence; else who overrode it and when.
    _text("override"),
    _text("evidence"),
    sa.Column("in_force", sa.Boolean, nullable=False),
    _to_attempt(),
    sa.UniqueConstraint("project", "batch_id", "attempt", "criteria", "evidence", "override"),
)

DOCUMENT_VERSIONS = sa.Table(
    "document_versions",
    METADATA,
    _key("project"),
    _key("kind"),
    _key("version"),
    _text("content_hash"),
    _text("body"),
)

CURSORS = sa.Table("cursors", METADATA, _key("name"), _text("value"))

QUARANTINE = sa.Table(
    "quarantine",
    METADATA,
    sa.Column("ordinal", ORDINAL, primary_key=True),
    _text("project"),
    _text("kind"),
    _text("key"),
    # Of the reason and the body: the same thing refused again is the same row, another body under the key is not.
    _text("content"),
    _text("reason_code"),
    _text("reason"),
    _text("body"),
    _time("at"),
    sa.UniqueConstraint("project", "kind", "key", "content"),
)

LEASES = sa.Table(
    "leases",
    METADATA,
    _key("name"),
    _text("owner"),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    _time("until"),
)

LABEL_COMMITS = sa.Table(
    "label_commits",
    METADATA,
    sa.Column("ordinal", ORDINAL, primary_key=True),
    _text("project"),
    _text("commit_id"),
    _text("batch_id"),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("n_labels", sa.BigInteger, nullable=False),
    _text("parent", optional=True),
    _time("committed_at"),
    _to_attempt(),
    sa.UniqueConstraint("project", "commit_id"),
)

INCIDENTS = sa.Table(
    "incidents",
    METADATA,
    _key("project"),
    _key("incident_id"),
    _text("model"),
    _text("model_version"),
    _text("metric"),
    _text("slices"),
    _text("state"),
    _time("opened_at"),
    _text("evidence"),
    _text("run_id", optional=True),
    _text("batch_id", optional=True),
    _time("closed_at", optional=True),
    _text("outcome"),
)

ACCESS_TOKENS = sa.Table(
    "access_tokens",
    METADATA,
    _key("token_hash"),
    _text("name"),
    _text("role"),
    _time("created_at"),
    _time("expires_at"),
    _time("revoked_at", optional=True),
)

DELIVERIES = sa.Table(
    "deliveries",
    METADATA,
    _key("message_id"),
    _text("project"),
    _text("endpoint"),
    _text("event"),
    sa.Column("audit_seq", sa.BigInteger, nullable=False),
    _text("body"),
    _text("state"),
    sa.Column("tries", sa.Integer, nullable=False),
    _time("next_try_at", optional=True),
    sa.Column("last_status", sa.Integer),
    _text("last_error"),
    _time("created_at"),
    _time("delivered_at", optional=True),
    sa.Index(None, "project", "state", "next_try_at"),
)

AUDIT = sa.Table(
    "audit",
    METADATA,
    sa.Column("seq", ORDINAL, primary_key=True, autoincrement=False),
    _text("body"),
    _text("hash"),
)

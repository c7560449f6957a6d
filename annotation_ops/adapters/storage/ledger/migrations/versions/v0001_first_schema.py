"""The ledger's first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ORDINAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _audit()
    _batches()
    _cursors()
    _document_versions()
    _incidents()
    _leases()
    _quarantine()
    _attempts()
    _label_commits()
    _tasks()
    _verdicts()
    _annotations()
    _assignments()
    _reviews()


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", ORDINAL, autoincrement=False, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )


def _batches() -> None:
    op.create_table(
        "batches",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("batch_id", TEXT, nullable=False),
        sa.Column("day", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("versions", TEXT, nullable=False),
        sa.Column("overlap", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("model_version", TEXT, nullable=True),
        sa.Column("incident_id", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("project", "batch_id", name="pk_batches"),
    )


def _cursors() -> None:
    op.create_table(
        "cursors",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_cursors"),
    )


def _document_versions() -> None:
    op.create_table(
        "document_versions",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("content_hash", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("project", "kind", "version", name="pk_document_versions"),
    )


def _incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("incident_id", TEXT, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("model_version", TEXT, nullable=False),
        sa.Column("metric", TEXT, nullable=False),
        sa.Column("slices", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("evidence", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=True),
        sa.Column("batch_id", TEXT, nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("project", "incident_id", name="pk_incidents"),
    )


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("ordinal", ORDINAL, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("reason_code", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ordinal", name="pk_quarantine"),
        sa.UniqueConstraint("project", "kind", "key", "content", name="uq_quarantine_project_kind_key_content"),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("batch_id", TEXT, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("dispatched_at", sa.BigInteger(), nullable=True),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("judged_at", sa.BigInteger(), nullable=True),
        sa.Column("published_at", sa.BigInteger(), nullable=True),
        sa.Column("state_reason", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "batch_id"], ["batches.project", "batches.batch_id"], name="fk_attempts_batches"
        ),
        sa.PrimaryKeyConstraint("project", "batch_id", "number", name="pk_attempts"),
    )
    op.create_index("ix_attempts_project_state", "attempts", ["project", "state"])


def _label_commits() -> None:
    op.create_table(
        "label_commits",
        sa.Column("ordinal", ORDINAL, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("commit_id", TEXT, nullable=False),
        sa.Column("batch_id", TEXT, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("n_labels", sa.BigInteger(), nullable=False),
        sa.Column("parent", TEXT, nullable=True),
        sa.Column("committed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "batch_id", "attempt"],
            ["attempts.project", "attempts.batch_id", "attempts.number"],
            name="fk_label_commits_attempts",
        ),
        sa.PrimaryKeyConstraint("ordinal", name="pk_label_commits"),
        sa.UniqueConstraint("project", "commit_id", name="uq_label_commits_project_commit_id"),
    )


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("task_key", TEXT, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("batch_id", TEXT, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("sample_id", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("uri", TEXT, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("slices", TEXT, nullable=False),
        sa.Column("selection_reason", TEXT, nullable=False),
        sa.Column("inclusion_probability", sa.Double(), nullable=True),
        sa.Column("uncertainty", sa.Double(), nullable=True),
        sa.Column("platform_task_id", TEXT, nullable=True),
        sa.Column("unroutable_reason", TEXT, nullable=True),
        sa.ForeignKeyConstraint(
            ["project", "batch_id", "attempt"],
            ["attempts.project", "attempts.batch_id", "attempts.number"],
            name="fk_tasks_attempts",
        ),
        sa.PrimaryKeyConstraint("task_key", name="pk_tasks"),
        sa.UniqueConstraint(
            "project",
            "batch_id",
            "attempt",
            "sample_id",
            "digest",
            name="uq_tasks_project_batch_id_attempt_sample_id_digest",
        ),
    )


def _verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("ordinal", ORDINAL, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("batch_id", TEXT, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.Column("criteria", TEXT, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.Column("judged_at", sa.BigInteger(), nullable=False),
        sa.Column("judged_by", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("override", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "batch_id", "attempt"],
            ["attempts.project", "attempts.batch_id", "attempts.number"],
            name="fk_verdicts_attempts",
        ),
        sa.PrimaryKeyConstraint("ordinal", name="pk_verdicts"),
        sa.UniqueConstraint(
            "project",
            "batch_id",
            "attempt",
            "criteria",
            "override",
            name="uq_verdicts_project_batch_id_attempt_criteria_override",
        ),
    )


def _annotations() -> None:
    op.create_table(
        "annotations",
        sa.Column("annotation_key", TEXT, nullable=False),
        sa.Column("task_key", TEXT, nullable=False),
        sa.Column("annotator_id", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("submitted_at", sa.BigInteger(), nullable=False),
        sa.Column("collected_at", sa.BigInteger(), nullable=False),
        sa.Column("lead_time_seconds", sa.Double(), nullable=True),
        sa.Column("platform_annotation_id", TEXT, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["task_key"], ["tasks.task_key"], name="fk_annotations_tasks"),
        sa.PrimaryKeyConstraint("annotation_key", name="pk_annotations"),
        sa.UniqueConstraint(
            "task_key", "annotator_id", "revision", name="uq_annotations_task_key_annotator_id_revision"
        ),
    )


def _assignments() -> None:
    op.create_table(
        "assignments",
        sa.Column("task_key", TEXT, nullable=False),
        sa.Column("annotator_id", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("explain", TEXT, nullable=False),
        sa.Column("assigned_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["task_key"], ["tasks.task_key"], name="fk_assignments_tasks"),
        sa.PrimaryKeyConstraint("task_key", "annotator_id", name="pk_assignments"),
    )


def _reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("review_key", TEXT, nullable=False),
        sa.Column("annotation_key", TEXT, nullable=False),
        sa.Column("reviewer_id", TEXT, nullable=False),
        sa.Column("decision", TEXT, nullable=False),
        sa.Column("comment", TEXT, nullable=False),
        sa.Column("reviewed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["annotation_key"], ["annotations.annotation_key"], name="fk_reviews_annotations"),
        sa.PrimaryKeyConstraint("review_key", name="pk_reviews"),
    )
    op.create_index("ix_reviews_annotation_key", "reviews", ["annotation_key"])

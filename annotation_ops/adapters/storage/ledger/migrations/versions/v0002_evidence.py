"""Why an assignment was made; what evidence a verdict rests on and whether it moved its attempt."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
KEY = ["project", "batch_id", "attempt", "criteria"]


def upgrade() -> None:
    with op.batch_alter_table("assignments") as assignments:
        assignments.add_column(sa.Column("purpose", TEXT, nullable=False, server_default="overlap"))
    with op.batch_alter_table("verdicts") as verdicts:
        verdicts.add_column(sa.Column("evidence", TEXT, nullable=False, server_default=""))
        verdicts.add_column(sa.Column("in_force", sa.Boolean(), nullable=False, server_default=sa.false()))
    # In a step of their own: SQLite fills the rows while the defaults are still there.
    with op.batch_alter_table("assignments") as assignments:
        assignments.alter_column("purpose", server_default=None)
    with op.batch_alter_table("verdicts") as verdicts:
        verdicts.alter_column("evidence", server_default=None)
        verdicts.alter_column("in_force", server_default=None)
        verdicts.drop_constraint("uq_verdicts_project_batch_id_attempt_criteria_override", type_="unique")
        verdicts.create_unique_constraint(
            "uq_verdicts_project_batch_id_attempt_criteria_evidence_override", [*KEY, "evidence", "override"]
        )
    # The first verdict on an attempt and every override by a person moved it; the others were looks backwards.
    op.execute(
        "UPDATE verdicts SET in_force = TRUE WHERE judged_by <> 'system' OR ordinal IN "
        "(SELECT MIN(ordinal) FROM verdicts GROUP BY project, batch_id, attempt)"
    )

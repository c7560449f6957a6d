"""Alembic's entry: runs the steps on the connection, and inside the transaction, that `migrate` hands over."""

from alembic import context

from annotation_ops.adapters.storage.ledger.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()

"""How Alembic runs here: on the connection, and inside the transaction, that `state.engine.migrate` gives it."""

from __future__ import annotations

from alembic import context

from tocsin.state.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
context.run_migrations()

"""Alembic's migrations of the state; run by `state.engine.migrate`, never by hand."""

"""The state: agents, users, ledger, offsets, alerts, outbox; SQLite or PostgreSQL behind SQLAlchemy."""

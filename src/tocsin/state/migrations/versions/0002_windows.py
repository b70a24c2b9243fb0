"""What correlations remember."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "window_head",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_window_head")),
    )
    op.create_table(
        "window_match",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("share", sa.BigInteger(), nullable=False),
        sa.Column("correlation", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("member", sa.String(), nullable=False),
        sa.Column("group", sa.String(), nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("carried", sa.String(), nullable=False),
        sa.Column("event", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_window_match")),
    )
    op.create_index(
        op.f("ix_window_match_org_correlation_time"), "window_match", ["org", "correlation", "time"], unique=False
    )
    op.create_table(
        "window_told",
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("correlation", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("group", sa.String(), nullable=False),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("spans", sa.JSON(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org", "correlation", "version", "group", "slot", name=op.f("pk_window_told")),
    )
    op.create_table(
        "window_mark",
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("watermark", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org", name=op.f("pk_window_mark")),
    )
    op.create_table(
        "window_source",
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("seen_until", sa.BigInteger(), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org", "origin", name=op.f("pk_window_source")),
    )
    op.create_index(op.f("ix_window_source_number"), "window_source", ["number"], unique=False)

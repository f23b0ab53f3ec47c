"""The tables of flask_whop: deliveries, and what became of them.

Revision ID: c35e90d7f618
Revises: 8d1f4c2ab907
"""

import sqlalchemy as sa
from alembic import op

revision = "c35e90d7f618"
down_revision = "8d1f4c2ab907"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "whop_deliveries",
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("event_type", sa.String(255), nullable=False),
        sa.Column("account_id", sa.String(255), nullable=True),
        sa.Column("resource", sa.String(255), nullable=True),
        sa.Column("occurred_at", sa.Double(), nullable=True),
        sa.Column("updated_at", sa.Double(), nullable=True),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("owned", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("lapses", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("lease", sa.String(64), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("origin", sa.String(64), server_default="arrived", nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=True),
        sa.Column("secret_index", sa.BigInteger(), nullable=True),
        sa.Column("receivers", sa.Text(), nullable=True),
        sa.Column("signer", sa.String(64), nullable=True),
        sa.Column("trace", sa.String(64), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", "endpoint"),
    )
    op.create_index(
        "whop_deliveries_account",
        "whop_deliveries",
        ["endpoint", "account_id", "received_at", "id"],
        postgresql_where=sa.text("account_id IS NOT NULL"),
        sqlite_where=sa.text("account_id IS NOT NULL"),
    )
    op.create_index(
        "whop_deliveries_resource",
        "whop_deliveries",
        ["endpoint", "resource"],
        postgresql_where=sa.text("resource IS NOT NULL"),
        sqlite_where=sa.text("resource IS NOT NULL"),
    )
    op.create_index(
        "whop_deliveries_state",
        "whop_deliveries",
        ["endpoint", "state", "received_at", "id"],
        postgresql_where=sa.text("changed_at > 0"),
        sqlite_where=sa.text("changed_at > 0"),
    )
    op.create_index(
        "whop_deliveries_type",
        "whop_deliveries",
        ["endpoint", "event_type", "received_at", "id"],
        postgresql_where=sa.text("received_at > 0"),
        sqlite_where=sa.text("received_at > 0"),
    )
    op.create_index(
        "whop_deliveries_unfinished",
        "whop_deliveries",
        ["endpoint", "state", "lapses", "due_at"],
        postgresql_where=sa.text("state <> 'done'"),
        sqlite_where=sa.text("state <> 'done'"),
    )
    op.create_table(
        "whop_marks",
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("receiver", sa.String(255), nullable=False),
        sa.Column("line", sa.String(255), nullable=False),
        sa.Column("delivery_id", sa.String(255), nullable=False),
        sa.Column("latest_at", sa.Double(), nullable=True),
        sa.Column("token", sa.String(64), nullable=True),
        sa.Column("held_until", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("line", "receiver", "endpoint"),
    )
    op.create_index("whop_marks_delivery", "whop_marks", ["delivery_id", "endpoint"])
    op.create_table(
        "whop_notes",
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("noted_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", "endpoint"),
    )
    op.create_table(
        "whop_receipts",
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("delivery_id", sa.String(255), nullable=False),
        sa.Column("receiver", sa.String(255), nullable=False),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("delivery_id", "receiver", "endpoint"),
    )
    op.create_index(
        "whop_receipts_given_up",
        "whop_receipts",
        ["endpoint", "last_at"],
        postgresql_where=sa.text("state = 'given_up'"),
        sqlite_where=sa.text("state = 'given_up'"),
    )
    op.create_table(
        "whop_schema",
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("oldest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_table(
        "whop_tallies",
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "kind", "name", "endpoint"),
    )


def downgrade() -> None:
    op.drop_table("whop_tallies")
    op.drop_table("whop_schema")
    op.drop_table("whop_receipts")
    op.drop_table("whop_notes")
    op.drop_table("whop_marks")
    op.drop_table("whop_deliveries")

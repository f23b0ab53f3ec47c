"""The shop's own tables.

Revision ID: 8d1f4c2ab907
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "8d1f4c2ab907"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "courses",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "entries",
        sa.Column("document_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("payment_id", sa.String(), nullable=True),
        sa.Column("course_id", sa.String(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("document_id", "kind"),
    )
    op.create_index("ix_entries_booked_at", "entries", ["booked_at"])
    op.create_index("ix_entries_course_id", "entries", ["course_id"])
    op.create_index("ix_entries_payment_id", "entries", ["payment_id"])
    op.create_table(
        "people",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "memberships",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("course_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("renews", sa.Boolean(), nullable=False),
        sa.Column("license_key", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["course_id"], ["courses.id"]),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_memberships_course_id", "memberships", ["course_id"])
    op.create_index("ix_memberships_license_key", "memberships", ["license_key"])
    op.create_index("ix_memberships_person_id", "memberships", ["person_id"])
    op.create_index("ix_memberships_status", "memberships", ["status"])


def downgrade() -> None:
    op.drop_table("memberships")
    op.drop_table("people")
    op.drop_table("entries")
    op.drop_table("courses")

"""Calls that answer several tasks; values that rest on an absence; orders to a model."""

from storage.migrations.steps import refuse_downgrade, run_sql_folder

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_folder("0008")


def downgrade() -> None:
    refuse_downgrade(revision)

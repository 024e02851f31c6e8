"""Imports, and lanes that do not stand in each other's way."""

from storage.migrations.steps import refuse_downgrade, run_sql_folder

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_folder("0005")


def downgrade() -> None:
    refuse_downgrade(revision)

"""Figures of the whole platform."""

from storage.migrations.steps import refuse_downgrade, run_sql_folder

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_folder("0007")


def downgrade() -> None:
    refuse_downgrade(revision)

"""The whole first schema."""

from storage.migrations.steps import refuse_downgrade, run_sql_folder

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_folder("0001")


def downgrade() -> None:
    refuse_downgrade(revision)

"""Sources with their configuration, raw events, and threads that arrive in pieces."""

from storage.migrations.steps import refuse_downgrade, run_sql_folder

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_folder("0004")


def downgrade() -> None:
    refuse_downgrade(revision)

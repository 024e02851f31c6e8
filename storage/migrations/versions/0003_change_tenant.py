"""What of a tenant may change; runs that never began."""

from storage.migrations.steps import refuse_downgrade, run_sql_folder

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_folder("0003")


def downgrade() -> None:
    refuse_downgrade(revision)

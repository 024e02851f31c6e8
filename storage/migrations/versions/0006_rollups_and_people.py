"""Rollups that are folded and filtered; people's sessions and their tries to sign in."""

from storage.migrations.steps import refuse_downgrade, run_sql_folder

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_folder("0006")


def downgrade() -> None:
    refuse_downgrade(revision)

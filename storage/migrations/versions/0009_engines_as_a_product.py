"""Limits and health of engines over all processes, their secrets, their configuration over the API, regions, cache
writes in usage."""

from storage.migrations.steps import refuse_downgrade, run_sql_folder

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_folder("0009")


def downgrade() -> None:
    refuse_downgrade(revision)

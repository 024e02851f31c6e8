"""Full-text search where there is no Meilisearch."""

from storage.migrations.steps import refuse_downgrade, run_sql_folder

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql_folder("0002")


def downgrade() -> None:
    refuse_downgrade(revision)

"""The schema, step by step: Alembic revisions in `versions/`, their SQL in `sql/`. See README.md."""

"""Postgres behind the Protocols of `storage.protocols`: one file per repository, `database.py` ties them together."""

"""Parley on one machine: Postgres, Temporal, search, workers and API as supervised child processes."""

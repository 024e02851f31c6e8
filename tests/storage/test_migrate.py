"""The migration: repeatable, safe from several processes at once, never backwards."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from domain.errors import Unavailable
from storage.migrate import migrate, pending
from storage.migrations.steps import MigrationFailed, Roles
from tests.support.stack import ROOT, DatabaseUrls


def schema(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select relname, relkind, relnatts from pg_class where relnamespace = 'public'::regnamespace order by 1"
        ).fetchall()


def test_twice_is_once(empty_database: DatabaseUrls) -> None:
    current, head = pending(empty_database.owner)
    assert current is None

    assert migrate(empty_database.owner) == head
    once = schema(empty_database.owner)
    assert migrate(empty_database.owner) == head

    assert schema(empty_database.owner) == once
    assert pending(empty_database.owner) == (head, head)
    assert len(once) > 100


def test_from_several_processes_at_once(empty_database: DatabaseUrls) -> None:
    environment = {**os.environ, "PARLEY_MIGRATION_DATABASE_URL": empty_database.owner}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "storage.migrate"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=120)[0].decode() for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert pending(empty_database.owner)[0] == pending(empty_database.owner)[1]


def test_the_url_may_be_a_reference(empty_database: DatabaseUrls, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(empty_database.owner + "\n")
    environment = {**os.environ, "PARLEY_MIGRATION_DATABASE_URL": f"file:{tmp_path}/url"}
    command = [sys.executable, "-m", "storage.migrate"]

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr


def test_failure_is_told_without_the_password(empty_database: DatabaseUrls) -> None:
    gone = empty_database.owner.replace(empty_database.name, "no_such_database")
    environment = {**os.environ, "PARLEY_MIGRATION_DATABASE_URL": gone}
    command = [sys.executable, "-m", "storage.migrate"]

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert "test-owner" not in done.stderr
    with pytest.raises(Unavailable):
        migrate("postgresql://parley:x@127.0.0.1:1/parley")


def test_a_missing_role_is_told(empty_database: DatabaseUrls) -> None:
    """The owner may not create roles here, as in many a cluster."""
    with pytest.raises(MigrationFailed, match="role parley_elsewhere does not exist"):
        migrate(empty_database.owner, Roles(app="parley_elsewhere"))

    assert pending(empty_database.owner)[0] is None


def test_roles_may_have_other_names(empty_database: DatabaseUrls) -> None:
    with psycopg.connect(empty_database.admin, autocommit=True) as admin:
        admin.execute('create role "App of; Parley" nologin')
    try:
        migrate(empty_database.owner, Roles(app="App of; Parley"))
        with psycopg.connect(empty_database.admin) as admin:
            found = admin.execute("select has_table_privilege('App of; Parley', 'conversation', 'select')").fetchone()
        assert found == (True,)
    finally:
        with psycopg.connect(empty_database.admin, autocommit=True) as admin:
            admin.execute('drop owned by "App of; Parley"')
            admin.execute('drop role "App of; Parley"')

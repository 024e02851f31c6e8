"""The words the schema allows are the domain's words: a new one in an enum needs a migration, and this says so."""

import re
from enum import StrEnum

import psycopg
import pytest

from domain.conversation import Channel, Direction, Lane, Stage, StageStatus, Status
from domain.engine import CallOutcome, EngineFamily
from domain.fields import Aggregate, FieldType, Owner
from domain.ledger import RunState
from domain.tasks import VersionState
from domain.values import EvidenceState, Layer, SubjectKind, ValueKind
from tests.support.stack import DatabaseUrls

WORDS: dict[tuple[str, str], type[StrEnum]] = {
    ("conversation", "channel"): Channel,
    ("conversation", "status"): Status,
    ("conversation", "direction"): Direction,
    ("source", "channel"): Channel,
    ("conversation_entry", "lane"): Lane,
    ("stage_state", "stage"): Stage,
    ("stage_state", "state"): StageStatus,
    ("custom_field", "type"): FieldType,
    ("custom_field", "aggregate"): Aggregate,
    ("owner", "level"): Owner,
    ("engine", "family"): EngineFamily,
    ("engine_call", "outcome"): CallOutcome,
    ("task_version", "state"): VersionState,
    ("task_run", "state"): RunState,
    ("field_value", "subject"): SubjectKind,
    ("field_value", "kind"): ValueKind,
    ("field_value", "evidence_state"): EvidenceState,
    ("assistant_job", "lane"): Lane,
}


def allowed(database: DatabaseUrls, table: str, column: str) -> set[str]:
    with psycopg.connect(database.owner) as connection:
        rows = connection.execute(
            """
            select pg_get_constraintdef(c.oid)
            from pg_constraint c
            join pg_attribute a on a.attrelid = c.conrelid and c.conkey = array[a.attnum]
            where c.conrelid = %s::regclass
              and a.attname = %s
              and c.contype = 'c'
            """,
            (table, column),
        ).fetchall()
    return {word for (text,) in rows for word in re.findall(r"'([^']*)'::text", str(text))}


@pytest.mark.parametrize(("table", "column"), sorted(WORDS))
def test_the_schema_allows_the_domains_words(database: DatabaseUrls, table: str, column: str) -> None:
    assert allowed(database, table, column) == {word.value for word in WORDS[table, column]}


def test_the_effective_layer_is_derived_and_never_stored(database: DatabaseUrls) -> None:
    assert allowed(database, "field_value", "layer") == {layer.value for layer in Layer} - {Layer.EFFECTIVE.value}

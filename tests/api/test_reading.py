"""Words, values, executions and explanations of conversations the pipeline has worked on."""

from collections.abc import AsyncIterator, Iterator

import httpx
import psycopg
import pytest

from domain.contracts import Conclusion, RunRef
from domain.conversation import Stage
from domain.fields import CustomField, FieldType
from domain.ids import new_id
from domain.ledger import Reason, RunState
from domain.values import EvidenceState
from tests.api.test_bad_input import problem
from tests.support.api_bodies import chat
from tests.support.api_seed import ORIGINAL, REDACTED, Seeder, storage_of
from tests.support.api_server import ApiServer, Tenant
from tests.support.stack import DatabaseUrls

TASKS = ("csat", "sentiment", "summary", "contact-reason", "churn-risk")


@pytest.fixture(scope="module")
def reader(api: ApiServer) -> Tenant:
    """A tenant with all starter tasks but one active."""
    tenant = api.tenant("reader")
    with api.client(tenant.key) as client:
        for slug in TASKS:
            assert client.post(f"/v1/tasks/{slug}/activation").status_code == 200
    return tenant


@pytest.fixture(scope="module")
async def seeder(api: ApiServer, reader: Tenant) -> AsyncIterator[Seeder]:
    async with storage_of(api.settings) as storage:
        yield Seeder(storage, reader.id)


@pytest.fixture
def client(api: ApiServer, reader: Tenant) -> Iterator[httpx.Client]:
    with api.client(reader.key) as client:
        yield client


def accept(client: httpx.Client) -> str:
    accepted = client.post("/v1/conversations", json=chat())
    assert accepted.status_code == 202, accepted.text
    return str(accepted.json()["id"])


async def analysed(seeder: Seeder, client: httpx.Client) -> str:
    """One task with a value, one unknown, one unsupported, one skipped, one failed; the rest not activated."""
    conversation = accept(client)
    run = await seeder.normalized(conversation)
    values = [
        await seeder.value(run, "csat", 2),
        await seeder.value(run, "sentiment", None),
        await seeder.value(run, "summary", "The parcel is late.", evidence=EvidenceState.UNSUPPORTED),
    ]
    states: dict[str, tuple[RunState, Reason | None]] = {
        "csat": (RunState.RAN, None),
        "sentiment": (RunState.RAN, None),
        "summary": (RunState.RAN, None),
        "contact-reason": (RunState.SKIPPED, Reason.TOO_SHORT),
        "churn-risk": (RunState.FAILED, Reason.ANSWER_MALFORMED),
    }
    await seeder.analysed(run, states, values)
    return conversation


async def test_a_thread_is_redacted_and_the_original_is_for_few_and_audited(
    api: ApiServer, seeder: Seeder, client: httpx.Client, reader: Tenant, database: DatabaseUrls
) -> None:
    conversation = accept(client)
    await seeder.normalized(conversation)
    url = f"/v1/conversations/{conversation}/thread"
    redacted = client.get(url)
    assert redacted.status_code == 200, redacted.text
    assert [turn["text"] for turn in redacted.json()["turns"]] == [REDACTED]
    assert "priya" not in redacted.text.lower()
    assert (redacted.json()["rendition"], redacted.json()["names_detected"]) == ("redacted", True)

    with api.client(reader.keys["read"]) as only_reads:
        assert only_reads.get(url).status_code == 200
        problem(only_reads.get(url, params={"rendition": "original"}), 403, "forbidden")
    assert _looks(database, conversation) == 0
    original = client.get(url, params={"rendition": "original"}).json()
    assert [turn["text"] for turn in original["turns"]] == [ORIGINAL]
    (message,) = original["messages"]
    assert message["text_as_sent"] == f"{ORIGINAL}\n> quoted"
    assert message["attachments"] == [{"name": "priya-nair.pdf", "media_type": "application/pdf", "size": 120}]
    assert message["automatic"] == "mailing_list"
    assert original["participants"][1]["address"] == "priya@example.com"
    assert _looks(database, conversation) == 1
    wrong = client.get(f"/v1/conversations/{conversation}/transcript")
    assert "has a thread" in problem(wrong, 404, "not_found")["detail"]


def _looks(database: DatabaseUrls, conversation: str) -> int:
    with psycopg.connect(database.admin) as connection:
        row = connection.execute(
            "select count(*) from audit_event where action = 'conversation.original.read' and subject = %s",
            (conversation,),
        ).fetchone()
    assert row is not None
    return int(row[0])


async def test_values_come_with_evidence_and_provenance(seeder: Seeder, client: httpx.Client) -> None:
    conversation = await analysed(seeder, client)
    fields = client.get(f"/v1/conversations/{conversation}/fields").json()
    csat = next(value for value in fields["effective"] if value["field"] == "csat")
    assert (csat["value"], csat["kind"], csat["evidence_state"]) == (2, "inferred", "verified")
    assert csat["evidence"][0]["quote"] == "my parcel is late"
    provenance = csat["provenance"]
    assert (
        provenance["transcript_hash"] == client.get(f"/v1/conversations/{conversation}/thread").json()["content_hash"]
    )
    assert (provenance["model"], provenance["task_version"], len(provenance["run_id"])) == ("rules-1", "f" * 64, 36)
    shown = client.get(f"/v1/conversations/{conversation}").json()
    assert {(f["field"], f["value"]) for f in shown["fields"]} >= {("csat", 2), ("sentiment", None)}
    assert shown["skipped"] == [
        {
            "task": "contact-reason",
            "reason": "too_short",
            "words": "There is too little text from the customer to analyse.",
            "remedy": "Nothing: this is no gap.",
            "detail": "why it is so",
        }
    ]


async def test_executions_show_runs_ledger_and_calls(
    api: ApiServer, seeder: Seeder, client: httpx.Client, reader: Tenant
) -> None:
    conversation = await analysed(seeder, client)
    executions = client.get(f"/v1/conversations/{conversation}/executions").json()
    assert [(run["entry"], run["state"]) for run in executions["runs"]] == [(1, "closed")]
    assert {stage["name"] for stage in executions["stages"]} == {"ingest", "normalize", "plan", "analyze", "persist"}
    states = {row["task"]: (row["state"], row["reason"]) for row in executions["ledger"]}
    assert states["churn-risk"] == ("failed", "answer_malformed")
    (call,) = executions["engine_calls"]
    assert (call["input_tokens"], call["cost_usd"], call["answer"]) == (120, 0.0012, '{"csat": {}}')
    with api.client(reader.keys["read"]) as only_reads:
        less = only_reads.get(f"/v1/conversations/{conversation}/executions").json()
    assert less["engine_calls"][0]["answer"] is None
    assert less["runs"][0]["temporal"] is None


async def test_every_empty_field_is_explained(seeder: Seeder, client: httpx.Client) -> None:
    conversation = await analysed(seeder, client)
    answer = client.get(f"/v1/conversations/{conversation}/explain")
    assert answer.status_code == 200, answer.text
    explained = answer.json()
    fields = {field["field"]: field for field in explained["fields"]}
    states = {key: (field["state"], field["reason"]) for key, field in fields.items()}
    assert states == {
        "csat": ("value", None),
        "sentiment": ("unknown", None),
        "summary": ("unsupported", None),
        "contact_reason": ("skipped", "too_short"),
        "churn_risk": ("failed", "answer_malformed"),
        "churn_reason": ("failed", "answer_malformed"),
        "next_actions": ("not_activated", "not_activated"),
    }
    assert fields["churn_risk"]["attempts"] == 2
    assert fields["next_actions"]["remedy"] == "Activate a task that fills it."
    assert all(field["words"] and field["remedy"] for field in fields.values())
    assert "completed with gaps" in explained["answer"]
    assert explained["temporal_answered"] is None


async def test_a_task_activated_later_is_not_planned(seeder: Seeder, client: httpx.Client) -> None:
    conversation = accept(client)
    run = await seeder.normalized(conversation)
    await seeder.analysed(run, {"csat": (RunState.RAN, None)})
    fields = client.get(f"/v1/conversations/{conversation}/explain").json()["fields"]
    states = {field["field"]: field["state"] for field in fields}
    assert (states["summary"], states["next_actions"]) == ("not_planned", "not_activated")


async def test_where_it_stops_is_explained(seeder: Seeder, client: httpx.Client) -> None:
    conversation = accept(client)
    started = client.get(f"/v1/conversations/{conversation}/explain").json()
    assert (started["status"], started["temporal_answered"]) == ("received", True)
    assert (started["run"]["state"], started["run"]["temporal_status"]) == ("started", "running")
    assert "under way" in started["answer"]

    run = await seeder.normalized(conversation)
    await seeder.concluded(run, Conclusion.FAILED, Stage.ANALYZE, "engine_unavailable")
    failed = client.get(f"/v1/conversations/{conversation}/explain").json()
    letter = failed["dead_letters"][0]
    assert (failed["status"], failed["where"]["stage"], failed["where"]["attempts"]) == ("failed", "analyze", 5)
    assert failed["where"]["last_error"] == "engine_unavailable: as it went"
    assert f"/v1/dead-letters/{letter['id']}/redrive" in failed["remedy"]

    listed = client.get("/v1/dead-letters").json()["items"]
    assert letter["id"] in [item["id"] for item in listed]
    redriven = client.post(f"/v1/dead-letters/{letter['id']}/redrive")
    assert (redriven.status_code, redriven.json()["enter_at"], redriven.json()["entry"]) == (202, "plan", 2)
    problem(client.post(f"/v1/dead-letters/{letter['id']}/redrive"), 409, "conflict")
    assert client.get(f"/v1/dead-letters/{letter['id']}").json()["redriven_entry"] == 2
    assert letter["id"] not in [item["id"] for item in client.get("/v1/dead-letters").json()["items"]]
    assert letter["id"] in [item["id"] for item in client.get("/v1/dead-letters", params={"all": True}).json()["items"]]


async def test_parked_says_when_it_comes_back(seeder: Seeder, client: httpx.Client) -> None:
    conversation = accept(client)
    run = await seeder.normalized(conversation)
    await seeder.concluded(run, Conclusion.PARKED, Stage.ANALYZE, "engine_quota_exhausted")
    explained = client.get(f"/v1/conversations/{conversation}/explain").json()
    assert explained["status"] == "parked"
    assert "The next run begins at" in explained["answer"]
    assert explained["run"]["not_before"] is not None
    undecodable = accept(client)
    run = RunRef(tenant_id=seeder.tenant_id, conversation_id=undecodable, revision=1, entry=1)
    await seeder.concluded(run, Conclusion.PARKED, Stage.INGEST, "undecodable_content")
    explained = client.get(f"/v1/conversations/{undecodable}/explain").json()
    assert (explained["where"]["stage"], explained["where"]["state"]) == ("ingest", "parked")
    assert "cannot be decoded" in explained["answer"]
    assert "Send it again" in explained["remedy"]


async def test_a_fact_that_was_read_already_is_planned_again(seeder: Seeder, client: httpx.Client) -> None:
    conversation = await analysed(seeder, client)
    url = f"/v1/conversations/{conversation}"

    def runs() -> list[tuple[str, str]]:
        return [(run["enter_at"], run["reason"]) for run in client.get(f"{url}/executions").json()["runs"]]

    assert client.patch(url, json={"metadata": {"plan": "gold"}}).status_code == 200  # as it was
    assert runs() == [("ingest", "created")]
    assert client.patch(url, json={"metadata": {"plan": "silver"}}).status_code == 200
    assert runs()[1:] == [("plan", "patched")]
    people = [{"id": "c1", "role": "customer", "name": "Priya Nair-Jones"}, {"id": "a1", "role": "agent"}]
    assert client.patch(url, json={"participants": people}).status_code == 200
    assert runs()[2:] == [("normalize", "patched")]
    empty = accept(client)
    assert client.patch(f"/v1/conversations/{empty}", json={"tags": ["x"]}).status_code == 200
    entries = client.get(f"/v1/conversations/{empty}/executions").json()["runs"]
    assert [run["reason"] for run in entries] == ["created"]


async def test_sensitive_fields_are_for_few(
    api: ApiServer, seeder: Seeder, client: httpx.Client, reader: Tenant
) -> None:
    field = CustomField(id=new_id(), key="diagnosis", type=FieldType.TEXT, label="Diagnosis", sensitive=True)
    async with seeder.storage.database.tenant_tx(reader.id) as tx:
        await tx.catalog.put_field(field)
    conversation = accept(client)
    run = await seeder.normalized(conversation)
    await seeder.analysed(run, {}, [await seeder.value(run, "diagnosis", "a cold"), await seeder.value(run, "csat", 4)])
    with api.client(reader.keys["read"]) as only_reads:
        for path in ("", "/fields", "/executions", "/explain"):
            url = f"/v1/conversations/{conversation}{path}"
            assert "a cold" not in only_reads.get(url).text, path
        assert "a cold" in client.get(f"/v1/conversations/{conversation}/fields").text
        shown = only_reads.get(f"/v1/conversations/{conversation}").json()["fields"]
        assert [value["field"] for value in shown] == ["csat"]
        hidden = only_reads.get("/v1/search", params={"where": "diagnosis = 'a cold'"})
        problem(hidden, 422, "invalid_filter")

"""What becomes of rows: accepted once, refused with a reason, reported, and taken up again where it was left."""

import asyncio
import io
import tarfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from domain.contracts import ImportRef, ImportRowsRequest, StretchEnd
from domain.conversation import Channel, Lane
from domain.errors import Conflict, ContentMissing, InvalidInput, Unavailable
from domain.ids import new_id
from domain.imports import Import, ImportRow, ImportState, RowOutcome, Rows
from domain.mapping import Format
from services.accept_conversation import AcceptConversation, accept_in
from services.accept_many import AcceptMany
from services.backlog import BacklogLimit
from services.import_rows import WAITS_FOR_LIVE, ImportRows
from services.imports import Imports, NewImport
from services.receive import ReceiveArrivals
from storage.content import open_content_store
from storage.crypto import MasterKeys
from storage.postgres.database import PostgresDatabase
from storage.postgres.tenant_keys import PostgresDataKeys
from storage.protocols import ContentStore, Source, Tenant
from tests.support.provisioned import install_library, provision
from tests.support.rows import Gate, NdjsonReader, chat_row, ndjson, readings
from tests.support.stack import DatabaseUrls
from tests.support.stages import AwayOrchestrator
from tests.support.storage import make_tenant


class NoStarter:
    """Temporal that does not answer."""

    async def start_import(self, ref: ImportRef, found: Import) -> None:
        raise Unavailable("Temporal is away")


class Ages:
    """The age of the backlog, as a test says."""

    def __init__(self) -> None:
        self.age = 0.0

    async def seconds(self, tenant_id: str) -> float:
        return self.age


@dataclass
class Desk:
    """One tenant, and imports by hand: no worker, no Temporal."""

    db: PostgresDatabase
    content: ContentStore
    tenant: Tenant
    imports: Imports
    ages: Ages

    def rows(self, reader: NdjsonReader | None = None) -> ImportRows:
        accept = AcceptConversation(self.db, self.content, AwayOrchestrator())
        many = AcceptMany(self.db, self.content, accept)
        backlog = BacklogLimit(self.ages, limit_seconds=30, cache_seconds=0)
        return ImportRows(self.db, self.content, many, ReceiveArrivals(self.db, accept), readings(reader), backlog)

    async def hand_in(self, body: bytes, source: str | None = "crm", **more: Any) -> ImportRef:
        async def chunks() -> AsyncIterator[bytes]:
            for at in range(0, len(body), 50_000):
                yield body[at : at + 50_000]

        file = await self.imports.store(self.tenant.id, chunks())
        made, started = await self.imports.create(self.tenant.id, file, NewImport(source, **more), actor="test")
        assert not started
        return ImportRef(tenant_id=self.tenant.id, import_id=made.id, entry=1)

    async def read(self, ref: ImportRef, reader: NdjsonReader | None = None, **more: Any) -> StretchEnd:
        return (await self.rows(reader).stretch(ImportRowsRequest(ref=ref, **more))).end

    async def found(self, ref: ImportRef) -> Import:
        return (await self.imports.report(ref.tenant_id, ref.import_id)).found

    async def lines(self, ref: ImportRef, outcome: RowOutcome | None = None) -> Sequence[ImportRow]:
        found = await self.imports.rows(ref.tenant_id, ref.import_id, outcome=outcome, after=None, limit=5000)
        return found.items

    async def stored(self) -> list[dict[str, Any]]:
        """Every conversation of the tenant with its number of revisions and entries."""
        async with self.db.tenant_tx(self.tenant.id) as tx:
            rows = await tx.session.rows(
                """
                select c.external_id, c.source, c.revision, c.lane, c.content_key,
                  (select count(*) from conversation_revision r where r.tenant_id = $1 and r.conversation_id = c.id)
                    as revisions,
                  (select count(*) from conversation_entry e
                   where e.tenant_id = $1 and e.conversation_id = c.id and e.state = 'pending' and e.lane = 'backfill')
                    as pending
                from conversation c
                where c.tenant_id = $1
                order by c.external_id
                """,
                self.tenant.id,
            )
        return [dict(row) for row in rows]

    async def contents(self) -> int:
        """Objects of the tenant in the content store."""
        folder = Path(self.content._store.prefix)  # type: ignore[attr-defined]
        return sum(1 for path in (folder / self.tenant.id).rglob("*") if path.is_file())


@pytest.fixture(autouse=True)
def no_defects(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A defect in accepting many at once would be made up for by accepting one by one: it must not hide there."""
    yield
    assert not [r.getMessage() for r in caplog.get_records("call") if r.name == "services.import_rows"]


@pytest.fixture
async def desk(database: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Desk]:
    tenant = await make_tenant(database.owner)
    db = await PostgresDatabase.connect(database.app, database.platform)
    content = open_content_store((tmp_path / "content").as_uri(), PostgresDataKeys(db, MasterKeys(bytes(range(32)))))
    imports = Imports(db, content, NoStarter(), max_bytes=64 * 1024 * 1024)
    imports._analyses._seconds = 0
    yield Desk(db, content, tenant, imports, Ages())
    await db.close()


def counted(found: Import) -> dict[str, int]:
    return {name: count for name, count in found.rows.model_dump().items() if count}


async def test_every_row_becomes_one_conversation_left_to_the_dispatcher(desk: Desk) -> None:
    ref = await desk.hand_in(ndjson([chat_row(f"{n:04}") for n in range(450)]))
    assert await desk.read(ref) is StretchEnd.DONE
    found = await desk.found(ref)
    assert (found.state, counted(found)) == (ImportState.COMPLETED, {"read": 450, "created": 450})
    assert found.bytes_read == found.size
    assert found.volumes[Channel.CHAT].conversations == 450
    stored = await desk.stored()
    assert [row["external_id"] for row in stored] == [f"{n:04}" for n in range(450)]
    assert {(r["source"], r["revision"], r["revisions"], r["pending"], r["lane"]) for r in stored} == {
        ("crm", 1, 1, 1, "backfill")
    }
    lines = await desk.lines(ref)
    assert [line.number for line in lines] == list(range(1, 451))
    assert {(line.outcome, line.revision, line.part) for line in lines} == {(RowOutcome.CREATED, 1, 1)}
    assert len({line.conversation_id for line in lines}) == 450
    report = await desk.imports.report(ref.tenant_id, ref.import_id)
    assert report.waiting == 450
    assert await desk.contents() == 450  # the file itself is gone
    for row in stored[:3]:
        assert b"has not arrived" in await desk.content.get(desk.tenant.id, row["content_key"])


async def test_bad_rows_are_told_one_by_one_and_stop_nothing(desk: Desk) -> None:
    rows: list[dict[str, Any] | bytes] = [chat_row(f"{n}") for n in range(1, 9)]
    rows[1] = b"{not json"
    rows[2] = chat_row("3", channel="fax")
    rows[3] = chat_row("4", messages=[{"author": "nobody", "text": "x"}])
    rows[4] = chat_row("5", started_at="next tuesday")
    rows[5] = chat_row("6", metadata={"note": "a\0b"})
    rows[6] = {"_breaks": "Priya Nair"}
    ref = await desk.hand_in(ndjson(rows))
    assert await desk.read(ref) is StretchEnd.DONE
    failed = {line.number: line for line in await desk.lines(ref, RowOutcome.FAILED)}
    assert sorted(failed) == [2, 3, 4, 5, 6, 7]
    assert failed[2].problems[0].reason == "is not JSON"
    assert failed[3].problems[0].field == "channel"
    assert "not one of the participants" in failed[4].problems[0].reason
    assert failed[5].problems[0].field == "started_at"
    assert "character" in failed[6].problems[0].reason
    assert (failed[7].code, failed[7].problems[0].reason) == ("unreadable_row", "cannot be read (KeyError)")
    assert "Priya" not in repr(failed)
    assert [row["external_id"] for row in await desk.stored()] == ["1", "8"]
    assert counted(await desk.found(ref)) == {"read": 8, "created": 2, "failed": 6}
    assert await desk.contents() == 2


async def test_the_same_key_twice_in_a_file_is_a_revision_in_the_files_order(desk: Desk) -> None:
    longer = chat_row("a", messages=[*chat_row("a")["messages"], {"author": "c", "text": "Any news?"}])
    ref = await desk.hand_in(ndjson([chat_row("a"), chat_row("b"), longer, chat_row("a"), longer]))
    assert await desk.read(ref) is StretchEnd.DONE
    outcomes = [line.outcome.value for line in await desk.lines(ref)]
    assert outcomes == ["created", "created", "revised", "unchanged", "unchanged"]
    assert {r["lane"] for r in await desk.stored()} == {"backfill"}
    assert [(r["revision"], r["pending"]) for r in await desk.stored()] == [(2, 1), (1, 1)]
    assert await desk.contents() == 3


async def test_the_same_file_again_changes_nothing(desk: Desk) -> None:
    body = ndjson([chat_row(f"{n}") for n in range(30)])
    await desk.read(await desk.hand_in(body))
    before = await desk.stored()
    again = await desk.hand_in(body)
    assert await desk.read(again) is StretchEnd.DONE
    assert counted(await desk.found(again)) == {"read": 30, "unchanged": 30}
    assert await desk.stored() == before
    assert await desk.contents() == 30
    assert (await desk.found(again)).volumes == {}


async def test_what_is_told_anew_of_known_messages_changes_the_facts(desk: Desk) -> None:
    """An export that comes again, with another status and the same text."""
    rows = [chat_row(f"{n}", tags=["open"], metadata={"status": "open", "plan": "gold"}) for n in range(20)]
    await desk.read(await desk.hand_in(ndjson(rows)))
    before = await desk.stored()
    rows[7] |= {"tags": ["solved"], "metadata": {"status": "solved"}, "queue": "billing"}
    del rows[8]["tags"], rows[8]["metadata"]  # what is not told any more is known all the same
    longer = [*rows[9]["messages"], {"author": "c", "text": "Any news?"}]
    told_of_older = [chat_row("9", messages=longer), chat_row("9", tags=["stale"])]
    again = await desk.hand_in(ndjson([*rows, *told_of_older]))
    assert await desk.read(again) is StretchEnd.DONE
    assert counted(await desk.found(again)) == {"read": 22, "unchanged": 21, "revised": 1}
    async with desk.db.tenant_tx(desk.tenant.id) as tx:
        found = {n: await tx.conversations.find("crm", f"{n}") for n in range(20)}
    seven = found.pop(7)
    assert seven is not None
    assert (seven.tags, seven.queue) == (("solved",), "billing")
    assert seven.metadata == {"status": "solved", "plan": "gold"}
    for kept in found.values():
        assert kept is not None
        assert kept.tags == ("open",)
        assert kept.metadata["status"] == "open"
    assert len(await desk.stored()) == len(before)
    assert await desk.contents() == 21


async def test_only_rows_that_tell_something_new_are_written_one_by_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [chat_row(f"{n}", metadata={"status": "open", "score": 1.5}, language="en") for n in range(20)]
    await desk.read(await desk.hand_in(ndjson(rows)))
    one_by_one: list[str] = []

    async def watched(tx: Any, new: Any, *rest: Any, **more: Any) -> Any:
        one_by_one.append(new.intake.external_id)
        return await accept_in(tx, new, *rest, **more)

    monkeypatch.setattr("services.accept_many.accept_in", watched)
    rows[3]["metadata"] = {"status": "solved"}
    await desk.read(await desk.hand_in(ndjson(rows)))
    assert one_by_one == ["3"]


async def test_json_is_read_as_its_source_sends_it(desk: Desk) -> None:
    async with desk.db.tenant_tx(desk.tenant.id) as tx:
        await tx.catalog.put_source(
            Source(
                id=new_id(),
                slug="crm",
                channel=None,
                time_zone=None,
                settle_minutes=0,
                format=Format.JSON,
                preset="zendesk",
            )
        )
    ref = await desk.hand_in(b"{}\n", content_type="application/x-ndjson")
    assert (await desk.found(ref)).format is Format.JSON
    said = await desk.hand_in(b"{}\n", content_type="application/x-ndjson", format=Format.CANONICAL)
    assert (await desk.found(said)).format is Format.CANONICAL
    other = await desk.hand_in(b"{}\n", source=None)
    assert (await desk.found(other)).format is Format.CANONICAL


async def test_a_source_whose_rows_come_in_bulk_has_been_seen(desk: Desk) -> None:
    async def seen() -> bool:
        async with desk.db.tenant_tx(desk.tenant.id) as tx:
            return (await tx.catalog.source("crm")).last_seen_at is not None

    await desk.read(await desk.hand_in(ndjson([chat_row("1")]), dry_run=True))
    assert not await seen()
    await desk.read(await desk.hand_in(ndjson([chat_row("1")])))
    assert await seen()


async def test_two_imports_of_one_file_side_by_side(desk: Desk) -> None:
    """Forwards and backwards, so that they meet: each conversation is created by one and unchanged for the other."""
    rows = [chat_row(f"{n:03}") for n in range(300)]
    refs = [await desk.hand_in(ndjson(rows)), await desk.hand_in(ndjson(rows[::-1])), await desk.hand_in(ndjson(rows))]
    assert await asyncio.gather(*(desk.read(ref) for ref in refs)) == [StretchEnd.DONE] * 3
    totals = Rows()
    for ref in refs:
        found = await desk.found(ref)
        assert (found.rows.read, found.rows.failed) == (300, 0)
        totals = totals.with_more(0, await desk.lines(ref))
    assert (totals.created, totals.unchanged, totals.revised) == (300, 600, 0)
    assert {(r["revisions"], r["pending"]) for r in await desk.stored()} == {(1, 1)}
    assert await desk.contents() == 300


async def test_a_stretch_that_dies_loses_nothing_and_doubles_nothing(desk: Desk) -> None:
    """Cancelled wherever it is, again and again: what is reported is what is stored."""
    ref = await desk.hand_in(ndjson([chat_row(f"{n:04}") for n in range(1000)]))
    for line in (150, 390, 401, 777):
        gate = Gate(line)
        running = asyncio.create_task(desk.read(ref, NdjsonReader(gate)))
        assert await asyncio.to_thread(gate.reached.wait, 60)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        gate.open()
        assert (await desk.found(ref)).rows.created == len(await desk.stored()) == (line - 1) // 200 * 200
    assert await desk.read(ref) is StretchEnd.DONE
    assert counted(await desk.found(ref)) == {"read": 1000, "created": 1000}
    assert Counter((r["revisions"], r["pending"]) for r in await desk.stored()) == {(1, 1): 1000}
    assert [line.number for line in await desk.lines(ref)] == list(range(1, 1001))


async def test_a_worker_that_was_given_up_may_not_write_any_more(desk: Desk) -> None:
    """Two at the same rows: one of them moves the checkpoint, the other one stops."""
    ref = await desk.hand_in(ndjson([chat_row(f"{n:04}") for n in range(600)]))
    gate = Gate(250)
    slow = asyncio.create_task(desk.read(ref, NdjsonReader(gate)))
    assert await asyncio.to_thread(gate.reached.wait, 60)
    assert await desk.read(ref) is StretchEnd.DONE
    gate.open()
    assert await slow is StretchEnd.DONE  # it sees that the import is over
    assert counted(await desk.found(ref)) == {"read": 600, "created": 600}
    assert await desk.contents() == 600


async def test_a_newer_run_takes_over(desk: Desk) -> None:
    ref = await desk.hand_in(ndjson([chat_row("1")]))
    await desk.imports.pause(ref.tenant_id, ref.import_id)
    resumed = await desk.imports.resume(ref.tenant_id, ref.import_id)
    assert await desk.read(ref) is StretchEnd.SUPERSEDED
    assert await desk.read(ref.model_copy(update={"entry": resumed.entry})) is StretchEnd.DONE


async def test_pause_resume_and_cancel_in_the_middle(desk: Desk) -> None:
    ref = await desk.hand_in(ndjson([chat_row(f"{n:04}") for n in range(700)]))

    async def at_line(line: int, change: Callable[[str, str], Any], entry: int) -> StretchEnd:
        gate = Gate(line)
        run = ref.model_copy(update={"entry": entry})
        running = asyncio.create_task(desk.read(run, NdjsonReader(gate)))
        assert await asyncio.to_thread(gate.reached.wait, 60)
        await change(ref.tenant_id, ref.import_id)
        gate.open()
        return await running

    assert await at_line(250, desk.imports.pause, 1) is StretchEnd.PAUSED
    paused = await desk.found(ref)
    assert (paused.state, paused.rows.read) == (ImportState.PAUSED, 200)
    assert await desk.imports.pause(ref.tenant_id, ref.import_id) == paused
    assert await desk.read(ref) is StretchEnd.PAUSED
    resumed = await desk.imports.resume(ref.tenant_id, ref.import_id)
    assert (resumed.state, resumed.entry) == (ImportState.WAITING, 2)
    assert (await desk.imports.resume(ref.tenant_id, ref.import_id)).entry == 2
    assert await at_line(450, desk.imports.cancel, 2) is StretchEnd.CANCELLED
    found = await desk.found(ref)
    assert (found.state, found.rows.created) == (ImportState.CANCELLED, 400)
    assert len(await desk.stored()) == await desk.contents() == 400
    for change in (desk.imports.pause, desk.imports.resume):
        with pytest.raises(Conflict):
            await change(ref.tenant_id, ref.import_id)
    assert (await desk.imports.cancel(ref.tenant_id, ref.import_id)).state is ImportState.CANCELLED


async def test_it_waits_while_live_traffic_waits(desk: Desk) -> None:
    ref = await desk.hand_in(ndjson([chat_row("1")]))
    desk.ages.age = 31
    assert await desk.read(ref) is StretchEnd.WAIT
    assert ((await desk.found(ref)).waits, (await desk.found(ref)).rows.read) == (WAITS_FOR_LIVE, 0)
    desk.ages.age = 29
    assert await desk.read(ref) is StretchEnd.DONE
    assert (await desk.found(ref)).waits is None


async def test_a_stretch_ends_in_time_and_the_next_goes_on(desk: Desk) -> None:
    ref = await desk.hand_in(ndjson([chat_row(f"{n:04}") for n in range(450)]))
    ends: list[StretchEnd] = []
    while not ends or ends[-1] is StretchEnd.MORE:
        ends.append(await desk.read(ref, seconds=0.001))
    assert ends == [StretchEnd.MORE] * 3 + [StretchEnd.DONE]
    assert len(await desk.stored()) == 450


async def test_a_file_that_cannot_be_cut_any_further_keeps_what_came_before(desk: Desk) -> None:
    ref = await desk.hand_in(ndjson([*(chat_row(f"{n}") for n in range(5)), b"x" * 2_000_000, chat_row("z")]))
    with pytest.raises(InvalidInput, match="line 6: is too long"):
        await desk.read(ref)
    assert counted(await desk.found(ref)) == {"read": 5, "created": 5}


async def test_without_its_file_an_import_says_so(desk: Desk) -> None:
    ref = await desk.hand_in(ndjson([chat_row("1")]))
    await desk.content.delete(ref.tenant_id, (await desk.found(ref)).content_key)
    with pytest.raises(ContentMissing):
        await desk.read(ref)


async def test_rows_that_join_what_is_there(desk: Desk) -> None:
    part = {"author": "c", "at": "2026-11-02T10:00:00Z", "text": "Any news?", "id": "m3"}
    joins = chat_row("a", messages=[part], _adds=True)
    ref = await desk.hand_in(ndjson([chat_row("a"), joins, chat_row("b"), chat_row("c", _links=["x"])]))
    assert await desk.read(ref) is StretchEnd.DONE
    assert [line.outcome.value for line in await desk.lines(ref)] == ["created", "revised", "created", "created"]
    kept = [(r["external_id"], r["revision"], r["pending"]) for r in await desk.stored()]
    assert kept == [("a", 2, 1), ("b", 1, 1), ("c", 1, 1)]


async def test_a_row_of_another_kind_than_what_is_there(desk: Desk) -> None:
    await desk.read(await desk.hand_in(ndjson([chat_row("a")])))
    ref = await desk.hand_in(ndjson([chat_row("a", channel="email"), chat_row("b")]))
    assert await desk.read(ref) is StretchEnd.DONE
    [failed] = await desk.lines(ref, RowOutcome.FAILED)
    assert failed.number == 1
    assert "this conversation is a chat" in failed.problems[0].reason


async def test_whose_source_a_row_is(desk: Desk) -> None:
    rows = [chat_row("a"), chat_row("b", source="other")]
    named = await desk.hand_in(ndjson(rows), source="crm")
    await desk.read(named)
    [failed] = await desk.lines(named, RowOutcome.FAILED)
    assert (failed.number, failed.problems[0].field) == (2, "source")
    unnamed = await desk.hand_in(ndjson(rows), source=None)
    await desk.read(unnamed)
    kept = {(r["external_id"], r["source"]) for r in await desk.stored()}
    assert kept == {("a", "crm"), ("a", "api"), ("b", "other")}
    mapped = await desk.hand_in(ndjson(rows[1:]), source="crm", format=Format.JSON)
    await desk.read(mapped)
    assert ("b", "crm") in {(r["external_id"], r["source"]) for r in await desk.stored()}


async def test_a_dry_run_reports_every_row_and_stores_nothing(desk: Desk, database: DatabaseUrls) -> None:
    await install_library(database.owner)
    tenant = await provision(desk.db, f"dry-{desk.tenant.slug}")
    desk.tenant = tenant
    await desk.read(await desk.hand_in(ndjson([chat_row("old")])))
    longer = chat_row("old", messages=[*chat_row("old")["messages"], {"author": "c", "text": "Any news?"}])
    heard = {
        "external_id": "call", "channel": "call", "audio": [{"url": "https://nowhere.example/a.wav"}],
    }  # fmt: skip
    rows = [chat_row("old"), longer, *(chat_row(f"{n}") for n in range(10)), chat_row("x", channel="fax"), heard]
    ref = await desk.hand_in(ndjson(rows), dry_run=True)
    assert await desk.read(ref) is StretchEnd.DONE
    report = await desk.imports.report(tenant.id, ref.import_id)
    assert counted(report.found) == {"read": 14, "created": 10, "unchanged": 1, "revised": 1, "failed": 2}
    assert [row["external_id"] for row in await desk.stored()] == ["old"]
    assert await desk.contents() == 1
    guess = report.estimate
    assert guess is not None
    assert (guess.conversations, guess.unmeasured) == (11, 0)
    assert {task.conversations for task in guess.tasks} == {11}
    assert guess.input_tokens > 11 * 200
    assert guess.output_tokens > 0
    assert guess.cost_usd == 0  # the offline engine costs nothing


async def test_an_archive_is_read_file_by_file(desk: Desk) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, body in (
            ("inbox/one.json", ndjson([chat_row("1")])),
            ("inbox/bad.json", b"x" * 2_000_000),
            ("two.json", ndjson([chat_row("2"), chat_row("3")])),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
        link = tarfile.TarInfo("link.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    ref = await desk.hand_in(packed.getvalue(), content_type="application/x-tar", format=Format.CANONICAL)
    assert await desk.read(ref) is StretchEnd.DONE
    assert [(line.number, line.name, line.outcome.value) for line in await desk.lines(ref)] == [
        (1, "inbox/one.json", "created"),
        (2, "inbox/bad.json", "failed"),
        (3, "two.json", "created"),
        (4, "two.json", "created"),
    ]
    broken = await desk.hand_in(packed.getvalue()[:700], content_type="application/x-tar", format=Format.CANONICAL)
    with pytest.raises(InvalidInput, match="tar archive"):
        await desk.read(broken)


async def test_legs_are_stored_with_the_row(desk: Desk) -> None:
    legs = [
        {"agent": "a", "queue": "billing", "started_at": "2026-11-02T09:35:00Z", "hold_ms": 4000},
        {"agent": "a", "started_at": "2026-11-02T09:30:00Z", "transferred_at": "2026-11-02T09:34:00Z"},
    ]
    wrong = [{"agent": "a", "started_at": "2026-11-02T09:35:00Z", "ended_at": "2026-11-02T09:30:00Z"}]
    ref = await desk.hand_in(ndjson([chat_row("1", legs=legs), chat_row("2", legs=wrong)]))
    assert await desk.read(ref) is StretchEnd.DONE
    created, failed = await desk.lines(ref)
    assert failed.problems[0].field == "legs[0].ended_at"
    assert created.conversation_id
    async with desk.db.tenant_tx(desk.tenant.id) as tx:
        found = await tx.legs.of(created.conversation_id)
    assert [(leg.number, leg.queue, leg.hold_ms) for leg in found] == [(1, None, 0), (2, "billing", 4000)]
    assert found[0].transferred_at is not None


async def test_live_traffic_does_not_wait_behind_what_was_imported(desk: Desk) -> None:
    await desk.read(await desk.hand_in(ndjson([chat_row("1")])))
    async with desk.db.tenant_tx(desk.tenant.id) as tx:
        await tx.session.execute("update conversation set updated_at = now() - interval '1 day'")
        assert await tx.runs.backlog_age_seconds() == 0
        [entry] = await tx.runs.paced(10)
        assert entry.run.lane is Lane.BACKFILL
    due = await desk.db.platform.due_entries(100, older_than_seconds=0)
    assert desk.tenant.id not in {run.tenant_id for run in due}
    assert desk.tenant.id in await desk.db.platform.paced_tenants()

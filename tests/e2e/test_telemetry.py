"""Eyes on every stage of the running service: one trace a conversation, figures, one screen; and nothing that was said
in any of it.

What went out is judged at the collector's side of the wire.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.conversation import Status
from domain.traces import trace_id
from tests.support.otlp import ReceivedSpan
from tests.support.running_stack import until
from tests.support.stack import ROOT
from tests.support.watched import PATIENCE, Echo, Watched, chat, demo_call, watched_stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OF_A_CHAT = {"accept", "start", "ConversationWorkflow", "ingest", "normalize", "plan", "analyze", "persist", "index"}

PLANTED = "qzx"
"""Every word that must not get out begins so."""


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with watched_stack() as made:
        yield made


# -- one trace a conversation


def test_a_call_and_a_chat_have_all_stages_under_one_trace_id(watched: Watched) -> None:
    bodies = {"a-chat": chat("a-chat"), "a-call": demo_call(watched.client, "a-call")}
    for name, body in bodies.items():
        watched.hand_in(name, body)
    for name, stages in (("a-chat", OF_A_CHAT), ("a-call", OF_A_CHAT | {"transcribe"})):
        end = watched.ended(name)
        assert (end.status, end.status_reason) == (Status.COMPLETED, None)
        spans = watched.trace(end.id, stages)
        assert end.trace_id == spans[0].trace_id
        assert {span.trace_id for span in spans} == {end.trace_id}
        named = {name: [span for span in spans if span.name == name] for name in {span.name for span in spans}}
        assert stages <= named.keys()
        assert (named["accept"][0].service, named["index"][0].service) == ("parley-api", "parley-worker-conversations")
        assert named["analyze"][0].service == "parley-worker-language-models"
        _check_one_tree(spans)
        for stage in stages - {"index", "start", "accept"}:
            ended = [span.attributes["parley.outcome"] for span in named[stage]]
            assert ended.count("completed") == 1, (stage, ended)  # a slow machine may need another try
        calls = named["engine call"]
        assert {span.attributes["parley.engine"] for span in calls} >= {"offline"}
        assert sum(span.attributes["parley.tokens.input"] for span in calls) > 0
    assert len({span.trace_id for span in watched.collector.spans if span.name == "accept"}) >= 2


def _check_one_tree(spans: list[ReceivedSpan]) -> None:
    """One root, the acceptance; every other span hangs on one that is there; none came twice."""
    ids = [span.span_id for span in spans]
    assert len(ids) == len(set(ids))
    assert [span.name for span in spans if not span.parent_id] == ["accept"]
    assert {span.parent_id for span in spans if span.parent_id} <= set(ids)
    by_id = {span.span_id: span for span in spans}
    for span in spans:
        if span.name in ("ingest", "transcribe", "normalize", "plan", "analyze", "persist"):
            assert by_id[span.parent_id].name == "ConversationWorkflow", span


def test_the_request_is_linked_and_stays_in_its_callers_trace(watched: Watched) -> None:
    theirs = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{theirs}-b7ad6b7169203331-01"}
    accepted = watched.client.request("POST", "/v1/conversations", json=chat("linked"), headers=headers)
    spans = watched.trace(accepted["id"], OF_A_CHAT)
    assert theirs in next(span for span in spans if span.name == "accept").links
    until(lambda: theirs in watched.collector.traces(), PATIENCE)
    assert "POST /v1/conversations" in {span.name for span in watched.collector.traces()[theirs]}


def test_a_later_entry_joins_the_trace(watched: Watched) -> None:
    """A re-run, and a run that the reconciler starts because Temporal was away."""
    rerun = watched.hand_in("rerun", chat("rerun"))
    watched.trace(rerun, OF_A_CHAT)
    watched.client.rerun(rerun, ["csat"], "plan")

    def twice() -> bool:
        spans = watched.collector.traces()[trace_id(rerun)]
        return len([span for span in spans if span.name == "ConversationWorkflow"]) == 2

    until(twice, PATIENCE)
    _check_one_tree(watched.trace(rerun, OF_A_CHAT))
    with watched.stack.kept_down("temporal"):
        late = watched.client.start(chat("late"))
        assert not late.started
    spans = watched.trace(late.id, OF_A_CHAT)
    _check_one_tree(spans)
    starts = {span.service for span in spans if span.name == "start"}
    assert "parley-worker-conversations" in starts


# -- figures


def test_metrics_are_those_of_the_page(watched: Watched) -> None:
    shown = {
        (kind, name)
        for page in watched.pages().values()
        for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE)
        if name.startswith("parley_")
    }
    told = set()
    for line in (ROOT / "docs/metrics.md").read_text(encoding="utf-8").splitlines():
        found = re.match(r"\| `(parley_[a-z_]+)` \| (counter|gauge|histogram) \|", line)
        told |= {(found[2], found[1])} if found else set()
    assert told == shown


def test_dashboards_and_rules_name_metrics_there_are(watched: Watched) -> None:
    shown = {name for page in watched.pages().values() for name in re.findall(r"^# TYPE (\S+)", page, re.MULTILINE)}
    folder = ROOT / "infra/observability"
    recorded = set(re.findall(r"record: (\S+)", (folder / "rules.yaml").read_text(encoding="utf-8")))
    named: set[str] = set()
    for file in (*folder.glob("*.json"), *folder.glob("rules.yaml")):
        named |= set(re.findall(r"\b(?:parley|temporal)_[a-z_]+\b", file.read_text(encoding="utf-8")))
    series = {re.sub(r"_(bucket|sum|count)$", "", name) if name not in shown else name for name in named}
    assert "parley_stage_seconds" in series
    assert series - shown == set()
    used = set(re.findall(r"parley:[a-z0-9_:]+", (folder / "rules.yaml").read_text(encoding="utf-8")))
    assert used == recorded


def test_status_shows_all_of_it(watched: Watched) -> None:
    watched.hand_in("seen", chat("seen"))
    watched.ended("seen")
    shown = watched.stack.parley("status")
    assert shown.code == 0, shown.out
    for part in (
        "worker-conversations", "ingest", "analyze", "index", "p95", "conversations", "pollers", "offline", "tokens",
        "Search lag", "Dead letters", "Parked", "Temporal UI", "Accepted",
    ):  # fmt: skip
        assert part in shown.out, shown.out
    machine = watched.stack.parley("status", "--json").json()
    stages = {stage["stage"]: stage for stage in machine["lately"]["stages"]}
    assert stages["persist"]["done"] >= 1
    assert stages["persist"]["p95"] > 0
    assert machine["lately"]["silent"] == []
    assert next(e for e in machine["lately"]["engines"] if e["engine"] == "offline")["calls"] >= 1
    assert {queue["task_queue"] for queue in machine["platform"]["queues"]} >= {"parley-conversations"}
    assert machine["platform"]["stored"]["search"]["number"] >= 0


# -- histories


def test_a_history_is_recorded_and_replayed(watched: Watched, tmp_path: Path) -> None:
    kept = watched.hand_in("recorded", chat("recorded"))
    watched.trace(kept, OF_A_CHAT)
    run, file = f"conversation/{watched.tenant_id}/{kept}/1/1", tmp_path / "kept.json"
    recorded = watched.stack.parley("history", "record", run, "--out", str(file))
    assert recorded.code == 0, recorded.err
    assert "it replays on today's code" in " ".join(recorded.err.split())
    assert watched.tenant_id not in file.read_text()
    replayed = watched.stack.parley("history", "replay", str(file))
    assert (replayed.code, "replays" in replayed.out) == (0, True)
    unknown = watched.stack.parley("history", "record", "conversation/none")
    assert unknown.code == 1
    assert "no such run" in unknown.err


# -- nothing that was said


def test_nothing_that_was_said_gets_out(watched: Watched) -> None:
    """Words are planted wherever a sender or a reader may put them, and led through stages that fail. Afterwards they
    are looked for in every log, metric, span and in Temporal's database."""
    secret = _hand_in_planted(watched)
    _ask_for_planted(watched)
    heard = _what_the_call_says(watched)
    until(lambda: _indexed(watched), PATIENCE)

    places = _places(watched)

    # They would be found: each kind of place holds what belongs there.
    assert PLANTED in json.dumps([turn.text for turn in watched.client.words(watched.ids["planted"]).turns])
    for kind in ("log api", "log worker-conversations", "spans", "temporal.db"):
        assert watched.tenant_id.encode() in places[kind], kind
    assert b"engine_unavailable" in places["log worker-language-models"]
    assert b'outcome="engine_rejected"' in places["metrics worker-language-models"]
    for where, content in places.items():
        found = re.findall(rb".{0,60}" + PLANTED.encode() + rb".{0,40}", content, re.IGNORECASE | re.DOTALL)
        assert not found, (where, found[:3])
        assert not [phrase for phrase in heard if phrase.encode() in content], where
        assert secret.encode() not in content, where


def _hand_in_planted(watched: Watched) -> str:
    """Chats, a call, a call that cannot be decoded; an engine that repeats what it was asked. The engine's key."""
    watched.model.respond = Echo()
    other = watched.stack.new_tenant("planted", {"csat": {}, "summary": {}}, language_model="gemini")
    people = [
        {"id": "c", "role": "customer", "name": "Qzxname Qzxfamily", "address": "qzxmail@example.com"},
        {"id": "a", "role": "agent", "name": "Qzxagent"},
    ]
    planted = chat(
        "qzxexternal", "My qzxfirst arrived with a qzxsecond and I want my money.", "I am sorry about the qzxthird.",
        participants=people, metadata={"plan": "qzxplan", "note": "qzxnote"}, tags=["qzxtag"], interaction_id="qzxleg",
        queue="qzxqueue", team="qzxteam", campaign="qzxcampaign", dispositions=["qzxdisposition"],
    )  # fmt: skip
    watched.hand_in("planted", planted)
    with watched.stack.client(other) as client:
        for number, name in enumerate(("refused", "malformed")):
            watched.hand_in(name, {**planted, "external_id": f"qzxexternal{number}"}, client)
            watched.ended(name, client)
    noise = b"RIFF\x24\x10\x00\x00WAVEfmt " + b"qzxaudio" * 500
    opened = watched.client.request(
        "POST", "/v1/uploads", json={"size": len(noise), "sha256": hashlib.sha256(noise).hexdigest()}
    )
    httpx.put(opened["url"], content=noise, timeout=60)
    broken = demo_call(watched.client, "qzxcall")
    watched.hand_in("broken", {**broken, "audio": [{"id": opened["id"], "channels": ["mixed"]}]})
    spoken = {**broken, "external_id": "qzxcall2"}
    del spoken["audio"]
    said = {"speaker": "c", "start_ms": 0, "end_ms": 900, "text": "I qzxspoke of a qzxrefund."}
    watched.hand_in("spoken", {**spoken, "transcript": {"segments": [said]}})
    for name in ("planted", "broken", "spoken"):
        watched.ended(name)
    watched.hand_in("heard", demo_call(watched.client, "heard"))
    watched.ended("heard")
    return "key-of-the-test"


def _ask_for_planted(watched: Watched) -> None:
    """Readers and wrong requests."""
    told = {
        "baggage": "who=qzxbaggage", "tracestate": "qzxvendor=qzxstate", "user-agent": "qzxagent/1",
        "idempotency-key": "qzxkey", "traceparent": "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-01",
    }  # fmt: skip
    _any_answer(watched, "POST", "/v1/conversations", json=chat("qzxtold", "qzxa", "qzxb"), headers=told)
    _any_answer(watched, "GET", "/v1/search", params={"query": "qzxsearched", "where": "meta.plan = 'qzxplan'"})
    _any_answer(watched, "POST", "/v1/search", json={"query": "qzxsearched", "where": "qzxfield = 'qzxvalue'"})
    _any_answer(watched, "GET", "/v1/qzxnowhere/qzxthere?qzxparameter=qzxvalue")
    _any_answer(watched, "POST", "/v1/conversations", content=b'{"source": "qzxbroken", ')
    _any_answer(
        watched, "PATCH", f"/v1/conversations/{watched.ids['planted']}", json={"metadata": {"plan": "qzxlater"}}
    )
    _any_answer(watched, "POST", f"/v1/conversations/{watched.ids['planted']}/rerun", json={"tasks": ["qzxtask"]})


def _any_answer(watched: Watched, method: str, path: str, **options: Any) -> None:
    headers = {
        "Authorization": f"Bearer {watched.stack.key().get_secret_value()}", "Parley-Tenant": watched.tenant_id,
        **options.pop("headers", {}),
    }  # fmt: skip
    answer = httpx.request(method, f"{watched.stack.api}{path}", headers=headers, timeout=60, **options)
    assert answer.status_code < 500, answer.text


def _what_the_call_says(watched: Watched) -> list[str]:
    """Phrases of four words from the transcript, as they were heard."""
    phrases = []
    for turn in watched.client.words(watched.ids["heard"]).turns:
        words = turn.text.split()
        phrases += [" ".join(words[at : at + 4]) for at in range(0, len(words) - 3, 4)]
    assert len(phrases) > 5
    return phrases


def _indexed(watched: Watched) -> bool:
    stored = watched.client.request("GET", "/v1/platform/status")["stored"]
    return bool(stored["search"]["number"] == 0)


def _places(watched: Watched) -> dict[str, bytes]:
    """All that is written or sent about what happens, by name."""
    state = watched.stack.state
    found = {f"log {file.stem}": file.read_bytes() for file in state.logs.iterdir()}
    found["log supervisor"] = (state.path.parent / "supervisor.log").read_bytes()
    found |= {file.name: file.read_bytes() for file in state.path.glob("temporal.db*")}
    found["temporal.db"] += found.pop("temporal.db-wal", b"")
    found |= {f"metrics {name}": page.encode() for name, page in watched.pages().items()}
    found["status"] = watched.stack.parley("status", "--json").out.encode()
    found["spans"] = b"\n".join(watched.collector.payloads)
    return found


def test_every_line_inside_a_stage_or_request_says_whose_it_is(watched: Watched) -> None:
    """Runs last: what failed above has left lines."""
    of_stages = [line for name in ("worker-language-models", "worker-conversations") for line in _lines(watched, name)]
    inside = [line for line in of_stages if "stage" in line and "conversation" in line]
    assert inside
    for line in inside:
        assert line["trace_id"] == trace_id(line["conversation"]), line
        assert re.fullmatch("[0-9a-f]{32}", line["tenant"]), line
    failed = [line for line in of_stages if "as failed" in line["message"]]
    assert failed
    assert all(line.get("stage") and line.get("trace_id") and line.get("attempt") for line in failed)
    requests = [line for line in _lines(watched, "api") if line["message"] == "request"]
    assert len(requests) > 10
    assert all(line["trace_id"] and line["request_id"] for line in requests)
    named = [line for line in requests if line["conversation"]]
    assert named
    assert all(line["trace_id"] == trace_id(line["conversation"]) and line["tenant"] for line in named)


def _lines(watched: Watched, process: str) -> list[dict[str, Any]]:
    lines = watched.stack.state.log(process).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]

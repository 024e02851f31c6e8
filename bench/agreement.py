"""How far an engine's values agree with labelled conversations: `python -m bench.agreement [--cases FOLDER …]`.

A folder holds `conversations/*.json` and `labels/*.json`, and for calls with audio `scripts/*.json` (what is said;
speech recognition is measured elsewhere). The path is the product's own: normalization, redaction, the starter tasks
with their rule for what is too short, the engine, the check of answers and quotes. Labels: cli/demo_data/README.md.

Counted per field, `unknown` being no value:
  agreed     the answer is the label's (for csat within the band; for texts all facts in it and nothing forbidden)
  tolerated  agreed, or one of the label's further acceptable choices
  precision  agreed among the values given
"""

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from domain.clock import utc_now
from domain.conversation import Participant, Role
from domain.fields import CustomField, FieldScalar, answer_schema
from domain.intake import ConversationIn
from domain.normalize import MIXED, thread, transcript_of, turns_of_thread, turns_of_transcript
from domain.starter import STARTER_FIELDS, STARTER_TASKS, StarterTask
from domain.times import StampContext
from domain.turns import Turn
from domain.values import EvidenceState
from engines.language_models.offline import OfflineEngine
from engines.protocols import AnswerRequest, AskedTask, LanguageModelEngine, Redactor
from engines.redaction.redactor import PatternAndNameRedactor
from services.answers import CheckedValue, check

ROOT = Path(__file__).parents[1]
DEFAULT_FOLDERS = (ROOT / "cli" / "demo_data", ROOT / "bench" / "cases")
HELD_OUT = ROOT / "bench" / "held_out"  # for the final count only: never looked at while rules are changed
FIELDS = {field.key: field for field in STARTER_FIELDS}
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Case:
    name: str
    language: str | None
    participants: tuple[Participant, ...]
    turns: tuple[Turn, ...]
    labels: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One field of one case. agreed is None when the label does not judge it."""

    case: str
    field: str
    expected: str
    got: str
    known: bool
    agreed: bool | None
    tolerated: bool | None
    verified: bool
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class FieldAgreement:
    field: str
    judged: int
    agreed: int
    tolerated: int
    known: int
    known_agreed: int
    known_verified: int
    wrong: tuple[Verdict, ...]

    @property
    def share(self) -> float:
        return self.agreed / self.judged if self.judged else 0.0

    @property
    def precision(self) -> float:
        return self.known_agreed / self.known if self.known else 0.0


def load(folder: Path) -> Iterator[Case]:
    """The cases of a folder, by name."""
    for path in sorted((folder / "conversations").glob("*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))
        labels = json.loads((folder / "labels" / path.name).read_text(encoding="utf-8"))
        participants = tuple(Participant(**p) for p in body["participants"])
        script = folder / "scripts" / path.name
        turns = (
            _turns_of_script(json.loads(script.read_text(encoding="utf-8")))
            if script.exists()
            else _turns_as_sent(body)
        )
        yield Case(path.stem, body.get("language"), participants, turns, labels["fields"])


def _turns_as_sent(body: dict[str, Any]) -> tuple[Turn, ...]:
    intake = ConversationIn(**body)
    if intake.transcript is not None:
        return turns_of_transcript(transcript_of(intake.transcript, intake.participants), intake.participants)
    context = StampContext(received_at=utc_now())
    read = thread(intake.messages or (), intake.participants, context, intake.channel)
    return turns_of_thread(read)


def _turns_of_script(script: dict[str, Any]) -> tuple[Turn, ...]:
    """What is said in a call; on one mixed track nobody knows by whom."""
    mixed = any("mixed" in audio.get("channels", ()) for audio in script["audio"])
    return tuple(
        Turn(
            number=number,
            role=Role.UNKNOWN if mixed else Role(turn["speaker"]),
            participant_id=MIXED if mixed else turn["speaker"],
            text=turn["text"],
        )
        for number, turn in enumerate(script["turns"], start=1)
    )


async def answers(case: Case, engine: LanguageModelEngine, mask: Redactor) -> dict[str, CheckedValue | None]:
    """Every starter field's checked value; None for a task that is skipped because there is too little text."""
    names = [p.name for p in case.participants if p.name]
    turns = mask.redact(case.turns, language=case.language or "en", names=names, progress=lambda _: None).turns
    found: dict[str, CheckedValue | None] = {}
    for task in STARTER_TASKS:
        fields = tuple(FIELDS[key] for key in task.spec.field_keys)
        if _too_short(task, turns):
            found.update(dict.fromkeys(task.spec.field_keys))
            continue
        for value in await _ask(task, fields, turns, case.language, engine):
            found[value.field.key] = value
    return found


async def _ask(
    task: StarterTask, fields: tuple[CustomField, ...], turns: tuple[Turn, ...], language: str | None,
    engine: LanguageModelEngine,
) -> tuple[CheckedValue, ...]:  # fmt: skip
    request = AnswerRequest(
        system="",
        schema=answer_schema(fields),
        turns=turns,
        tasks=(_asked(task),),
        language=language,
        max_output_tokens=task.spec.max_output_tokens,
    )
    answer = await engine.answer(request, lambda _: None)
    return check(answer.text, fields, turns, task.spec.evidence_role)


def _asked(task: StarterTask) -> AskedTask:
    fields = tuple(FIELDS[key] for key in task.spec.field_keys)
    return AskedTask(task.task.slug, task.spec.prompt, fields, task.spec.evidence_role)


def _too_short(task: StarterTask, turns: Sequence[Turn]) -> bool:
    spoken = [t for t in turns if t.role.may_be(Role.CUSTOMER)]
    words = sum(len(t.text.split()) for t in spoken)
    return len(spoken) < task.spec.min_customer_turns or words < task.spec.min_words


def judge(case: Case, field: str, value: CheckedValue | None) -> Verdict:
    """The field's value against its label."""
    labels = case.labels
    got = value.value if value is not None else None
    expected, agreed, missing = _compare(field, labels, got)
    further = labels.get("also_acceptable", {}).get(field, [])
    further = further if isinstance(further, list) else [further]
    tolerated = agreed or (None if agreed is None else (UNKNOWN if got is None else got) in further)
    verified = value is not None and value.evidence_state is EvidenceState.VERIFIED
    shown = UNKNOWN if got is None else str(got)
    return Verdict(case.name, field, expected, shown, got is not None, agreed, tolerated, verified, missing)


def _compare(field: str, labels: dict[str, Any], got: FieldScalar | None) -> tuple[str, bool | None, tuple[str, ...]]:
    """(expected in words, agreed, facts that are missing or forbidden)."""
    if field == "csat":
        band = labels["csat"]["band"]
        if band is None:
            return UNKNOWN, got is None, ()
        return f"{band[0]}-{band[1]}", isinstance(got, int) and band[0] <= got <= band[1], ()
    if field == "churn_reason":
        return (UNKNOWN if labels[field] is None else labels[field]), (labels[field] is None) == (got is None), ()
    if field in ("summary", "next_actions"):
        return _compare_text(labels[field], None if got is None else str(got))
    expected = labels[field] if isinstance(labels[field], list) else [labels[field]]
    return "|".join(expected), (UNKNOWN if got is None else got) in expected, ()


def _compare_text(label: dict[str, Any], got: str | None) -> tuple[str, bool | None, tuple[str, ...]]:
    if label.get("none_expected"):
        return UNKNOWN, got is None, ()
    groups = label.get("must", [])
    if not groups and not label.get("must_not"):
        return "not judged", None, ()
    text = (got or "").lower()
    missing = ["/".join(group) for group in groups if not any(word.lower() in text for word in group)]
    forbidden = [
        f"not: {word}"
        for word in label.get("must_not", [])
        if re.search(rf"(?<!\w){re.escape(word.lower())}(?!\w)", text)
    ]
    problems = (*missing, *forbidden)
    return "; ".join("/".join(group) for group in groups), got is not None and not problems, problems


def agreement(verdicts: Sequence[Verdict]) -> tuple[FieldAgreement, ...]:
    """Per field of the starter library, in its order."""
    found = []
    for field in FIELDS:
        judged = [v for v in verdicts if v.field == field and v.agreed is not None]
        known = [v for v in judged if v.known]
        found.append(
            FieldAgreement(
                field=field,
                judged=len(judged),
                agreed=sum(bool(v.agreed) for v in judged),
                tolerated=sum(bool(v.tolerated) for v in judged),
                known=len(known),
                known_agreed=sum(bool(v.agreed) for v in known),
                known_verified=sum(v.verified for v in known),
                wrong=tuple(v for v in judged if not v.agreed),
            )
        )
    return tuple(found)


async def measure(
    folders: Sequence[Path] = DEFAULT_FOLDERS, engine: LanguageModelEngine | None = None
) -> tuple[FieldAgreement, ...]:
    """Agreement of an engine (the offline one by default) over all cases of the folders."""
    engine = engine or OfflineEngine()
    mask = PatternAndNameRedactor()
    verdicts: list[Verdict] = []
    for folder in folders:
        for case in load(folder):
            values = await answers(case, engine, mask)
            verdicts.extend(judge(case, field, values.get(field)) for field in FIELDS)
    return agreement(verdicts)


def as_json(fields: Sequence[FieldAgreement]) -> dict[str, Any]:
    """For `.parley/bench.json`: shares per field, and what was confused with what."""
    return {
        f.field: {
            "judged": f.judged,
            "agreed": round(f.share, 3),
            "tolerated": round(f.tolerated / f.judged, 3) if f.judged else None,
            "precision": round(f.precision, 3),
            "known": f.known,
            "verified": f.known_verified,
            "wrong": [{"case": v.case, "expected": v.expected, "got": v.got, "missing": v.missing} for v in f.wrong],
        }
        for f in fields
    }


def show(fields: Sequence[FieldAgreement], console: Console, *, title: str, wrong: bool) -> None:
    table = Table("field", "judged", "agreed", "tolerated", "known", "precision", "quotes verified", title=title)
    for f in fields:
        table.add_row(
            f.field, str(f.judged), f"{f.agreed} ({f.share:.0%})", str(f.tolerated), str(f.known), f"{f.precision:.0%}",
            f"{f.known_verified}/{f.known}",
        )  # fmt: skip
    console.print(table)
    if not wrong:
        return
    for f in fields:
        for v in f.wrong:
            mark = "~" if v.tolerated else "✗"
            console.print(f"{mark} {v.case} {v.field}: expected {v.expected}; got {v.got}", markup=False)
            if v.missing:
                console.print(f"    missing: {', '.join(v.missing)}", markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.agreement", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", nargs="+", type=Path, default=list(DEFAULT_FOLDERS), metavar="FOLDER")
    parser.add_argument("--held-out", action="store_true", help="count the held-out cases as well; figures only")
    parser.add_argument("--wrong", action="store_true", help="list every answer that differs from its label")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    options = parser.parse_args(arguments)
    console = Console(width=140)
    fields = asyncio.run(measure(options.cases))
    show(fields, console, title="Agreement with labels", wrong=options.wrong)
    if options.held_out:
        show(asyncio.run(measure([HELD_OUT])), console, title="Agreement with held-out labels", wrong=False)
    if options.json:
        options.json.write_text(json.dumps(as_json(fields), indent=2, ensure_ascii=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

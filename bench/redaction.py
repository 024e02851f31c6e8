"""How much personal data the redactor finds, and what it masks that is none: `python -m bench.redaction`.

Recall: listed strings (labels of the demo's conversations; personal fields of real chats) that no longer stand in the
redacted text, out of those that stood in the original. Masks that touch no listed string are printed for a person to
judge: the lists do not name everything. Also the cost of a conversation, as CPU ms per 1,000 characters.
"""

import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.conversation import Role
from domain.turns import Turn
from engines.redaction.redactor import PatternAndNameRedactor

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "cli" / "demo_data"
REAL = ROOT.parent / "shared" / "data" / "real-sample" / "chat"


@dataclass(frozen=True)
class Case:
    """A conversation with the strings that must not survive. names: of its participants."""

    id: str
    language: str
    turns: tuple[Turn, ...]
    secrets: tuple[str, ...]
    names: tuple[str, ...]


def demo_cases() -> Iterator[Case]:
    """The demo's conversations: messages, or for calls the words of the script."""
    for path in sorted((DEMO / "conversations").glob("*.json")):
        body = json.loads(path.read_text())
        label = json.loads((DEMO / "labels" / path.name).read_text())
        roles = {p["id"]: p["role"] for p in body.get("participants", ())}
        script = DEMO / "scripts" / path.name
        if "messages" in body:
            said = [(m["author"], roles[m["author"]], _text(m)) for m in body["messages"]]
        elif script.exists():
            said = [(t["speaker"], t["speaker"], t["text"]) for t in json.loads(script.read_text())["turns"]]
        else:
            continue
        names = tuple(p["name"] for p in body.get("participants", ()) if p.get("name"))
        secrets = (*label.get("personal_data", ()), *label.get("personal_data_wider", ()))
        yield Case(path.stem, body.get("language", "en"), _turns(said), secrets, names)


def real_cases() -> Iterator[Case]:
    """The real chats that come with the customer's personal fields."""
    path = REAL / "abcd_sample.json"
    if not path.exists():
        return
    for chat in json.loads(path.read_text()):
        personal, order = chat["scenario"]["personal"], chat["scenario"].get("order", {})
        secrets = [personal.get(key, "") for key in ("customer_name", "email", "phone", "username")]
        secrets += [
            *personal.get("customer_name", "").split(),
            order.get("street_address", ""),
            order.get("zip_code", ""),
        ]
        said = [(who, "system" if who == "action" else who, text) for who, text in chat["original"]]
        yield Case(f"real-{chat['convo_id']}", "en", _turns(said), tuple(filter(None, secrets)), ())


def _text(message: dict[str, Any]) -> str:
    return "\n\n".join(filter(None, (message.get("subject"), message["text"])))


def _turns(said: Iterable[tuple[str, str, str]]) -> tuple[Turn, ...]:
    return tuple(
        Turn(number=number, role=Role(role), participant_id=who, text=text)
        for number, (who, role, text) in enumerate(said, start=1)
    )


def measure(
    redactor: PatternAndNameRedactor, title: str, cases: Sequence[Case], *, with_names: bool, show: bool
) -> None:
    """Prints recall over the cases, what survived, and the masks on nothing that is listed."""
    present = masked = characters = 0
    survivors: list[str] = []
    unlisted: list[str] = []
    began = time.process_time()
    for case in cases:
        names = case.names if with_names else ()
        result = redactor.redact(case.turns, language=case.language, names=names, progress=lambda share: None)
        before = "\n".join(turn.text for turn in case.turns)
        after = "\n".join(turn.text for turn in result.turns)
        characters += len(before)
        for secret in case.secrets:
            if _stands_in(secret, before):
                present += 1
                masked += not _stands_in(secret, after)
                if _stands_in(secret, after):
                    survivors.append(f"{case.id}: {secret}")
        listed = " ".join((*case.secrets, *case.names)).lower()
        unlisted += [
            f"{case.id} turn {m.turn} [{m.kind.value}] {m.original}"
            for m in result.masks
            if m.original.lower() not in listed
        ]
    seconds = time.process_time() - began
    cost = seconds * 1e6 / max(characters, 1)
    print(f"{title}: {masked} of {present} masked; {cost:.1f} ms of CPU per 1,000 characters")
    for line in survivors:
        print(f"  left: {line}")
    for line in unlisted if show else ():
        print(f"  unlisted: {line}")


def _stands_in(secret: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", text, re.IGNORECASE) is not None


def main() -> None:
    show = "--masks" in sys.argv
    demo, real = list(demo_cases()), list(real_cases())
    redactor = PatternAndNameRedactor()
    redactor.redact(demo[0].turns, language="en", names=(), progress=lambda share: None)  # loads the models
    measure(redactor, "demo, participants named", demo, with_names=True, show=show)
    measure(redactor, "demo, participants not named", demo, with_names=False, show=False)
    measure(redactor, "real chats, participants not named", real, with_names=False, show=show)


if __name__ == "__main__":
    main()

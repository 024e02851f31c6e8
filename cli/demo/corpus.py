"""The demo's conversations: bodies of `POST /v1/conversations`, with audio named by file."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.conversation import Channel

FOLDER = Path(__file__).parents[1] / "demo_data"


@dataclass(frozen=True)
class DemoConversation:
    """One conversation as it lies in a folder of cases."""

    external_id: str
    channel: Channel
    body: dict[str, Any]
    folder: Path

    def ready(self, upload: Callable[[Path], str]) -> dict[str, Any]:
        """The body to send: every audio file uploaded and named by its id."""
        if "audio" not in self.body:
            return self.body
        audio = []
        for item in self.body["audio"]:
            named = {key: value for key, value in item.items() if key != "file"}
            audio.append({"id": upload(self.folder / item["file"]), **named})
        return {**self.body, "audio": audio}


def conversations(folder: Path = FOLDER) -> tuple[DemoConversation, ...]:
    """All conversations of a folder, calls first: they take longest."""
    found = [_read(file, folder) for file in sorted((folder / "conversations").glob("*.json"))]
    return tuple(sorted(found, key=lambda c: c.channel is not Channel.CALL))


def _read(file: Path, folder: Path) -> DemoConversation:
    body = json.loads(file.read_text(encoding="utf-8"))
    return DemoConversation(body["external_id"], Channel(body["channel"]), body, folder)

"""How every process logs: one line a record, as JSON or for people, to standard error.

    _log.info("request", extra={"fields": {"status": 200}})

`fields` are facts beside the message; neither holds personal data or secrets, so tracebacks are not logged with the
messages of their errors. Whatever is logged inside a stage or a request also carries the facts of that stage or request
(tenant, conversation, stage, trace id), whoever logs it:

    with telling(lambda: {"tenant": tenant_id, "stage": "ingest"}):
        ...
"""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from infra.settings import Settings

_ROOMS = ("domain", "workflows", "engines", "storage", "services", "activities", "infra", "workers", "api", "cli")

Facts = Callable[[], Mapping[str, object]]
"""Asked for each line, so that what becomes known later is on later lines."""

_telling: ContextVar[tuple[Facts, ...]] = ContextVar("facts of log lines", default=())


@contextmanager
def telling(facts: Facts, *, alone: bool = False) -> Iterator[None]:
    """Every line logged inside the block, in this task and those it begins, carries the facts; `alone` without those
    told around it."""
    held = _telling.set((facts,) if alone else (*_telling.get(), facts))
    try:
        yield
    finally:
        _telling.reset(held)


def configure_logs(settings: Settings) -> None:
    """Sets up the loggers: the first thing a process does with its settings. The level is ours; libraries are heard
    when something is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if settings.log_format == "json" else PlainLines())
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    # What a library says while it works is not ours to vouch for: it may repeat what it was given.
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    for room in _ROOMS:
        logging.getLogger(room).setLevel(level)


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, logger, message, and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": _moment(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_facts(record),
        }
        return json.dumps(line, ensure_ascii=False, default=str)


class PlainLines(logging.Formatter):
    """The same for people."""

    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={value}" for name, value in _facts(record).items() if value is not None)
        at = _moment(record).strftime("%H:%M:%S")
        return f"{at} {record.levelname.lower():7} {record.name}: {record.getMessage()} {facts}".rstrip()


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """What is known around the line, the innermost last, and what the line says itself."""
    facts: dict[str, Any] = {}
    for known in (*(tell() for tell in _telling.get()), getattr(record, "fields", {})):
        facts |= {name: value for name, value in known.items() if value is not None or name not in facts}
    if record.exc_info and record.exc_info[0] is not None:
        facts["error"] = record.exc_info[0].__name__
    return facts

"""AI Tasks: what is asked, in immutable versions, and what a tenant made of it."""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, StringConstraints

from domain.conversation import Channel, Frozen, Role, ShortText, Slug
from domain.fields import CustomField, FieldKey, Owner
from domain.ids import IdStr


def canonical_json(value: object) -> str:
    """One text for equal JSON values: sorted keys, no spaces, UTF-8 kept."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_hash(value: object) -> str:
    """SHA-256 (hex) of the canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


class VersionState(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    RETIRED = "retired"


class LongInput(StrEnum):
    """What to do with a conversation that is long for a task: longer than `long_from_tokens`, or than its engine reads.

    whole: one request, whatever its length; skipped when the engine cannot read it. windowed: read in windows of turns,
    the answers merged by field type. skip: not asked.
    """

    WHOLE = "whole"
    WINDOWED = "windowed"
    SKIP = "skip"


class TaskSpec(Frozen):
    """The content of a version: everything its id is the hash of.

    prompt: Jinja2, rendered in a sandbox; sees `turns`, `conversation` (allow-listed), `fields`, `parameters`.
    evidence_role: who must have said a quote for it to count; None for anyone.
    min_customer_turns / min_words: below either the task is skipped as too short.
    long_from_tokens: above so many tokens of transcript a conversation is long for this task; None: only when the
    engine cannot read it at once. fuse: may be answered together with others in one call; set when its eval set shows
    that nothing is lost. answer_language: BCP-47 tag of the language texts are written in; None: the conversation's.
    """

    purpose: ShortText
    prompt: Annotated[str, StringConstraints(min_length=1, max_length=50_000)]
    field_keys: Annotated[tuple[FieldKey, ...], Field(min_length=1, max_length=50)]
    parameters: dict[str, str | int | float | bool] = Field(default_factory=dict)
    channels: tuple[Channel, ...] = tuple(Channel)
    filter: str | None = None
    sample: float = Field(default=1.0, gt=0, le=1)
    engine: Slug | None = None
    evidence_role: Role | None = None
    min_customer_turns: int = Field(default=1, ge=0)
    min_words: int = Field(default=12, ge=0)
    long_input: LongInput = LongInput.WHOLE
    long_from_tokens: int | None = Field(default=None, ge=200)
    fuse: bool = False
    answer_language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    max_output_tokens: int = Field(default=1024, ge=16, le=32_768)

    def version_id(self) -> str:
        """Content-hash id: same content, same id."""
        return content_hash(self.model_dump(mode="json"))


class AITask(Frozen):
    """A named task of one owner."""

    id: IdStr
    slug: Slug
    label: ShortText
    owner: Owner


class TaskVersion(Frozen):
    id: str
    task_id: IdStr
    spec: TaskSpec
    state: VersionState
    author: str
    reason: str
    created_at: AwareDatetime


class TaskListing(Frozen):
    """A task in a tenant's catalogue. newest: its newest published version, None when it has none; active: the version
    that runs for the tenant, None when it is not activated; overridden: the tenant changed something of it."""

    task: AITask
    newest: TaskVersion | None
    active: TaskVersion | None
    overridden: bool


class EffectiveTask(Frozen):
    """An activated task as it runs for one tenant: version plus override, fields resolved, engine chosen."""

    task: AITask
    version_id: str
    spec: TaskSpec
    fields: tuple[CustomField, ...]
    engine: Slug

    @property
    def sensitive(self) -> bool:
        """A task that fills a field few may see is of the sensitive class, with all its fields."""
        return any(field.sensitive for field in self.fields)

    def input_hash(self, *, schema: Mapping[str, Any], model: str, turns_hash: str, read: Mapping[str, Any]) -> str:
        """Hash of all that can change the answer: prompt, parameters, schema, engine, model, turns, variables read.

        What a field asks (its description) is part of it. Labels, and the labels and meanings of options, are not:
        answers name options by their ids, so a renamed option is the same option. How the task shares calls with
        others is not either: the same question is the same question.
        """
        return content_hash(
            {
                "prompt": self.spec.prompt,
                "parameters": self.spec.parameters,
                "evidence_role": self.spec.evidence_role,
                "max_output_tokens": self.spec.max_output_tokens,
                "answer_language": self.spec.answer_language,
                "schema": schema,
                "descriptions": {field.key: field.description for field in self.fields},
                "engine": self.engine,
                "model": model,
                "turns": turns_hash,
                "read": dict(read),
            }
        )

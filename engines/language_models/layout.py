"""How a request is laid out for a language model, the same for every provider.

Order: the system text, then the conversation, then the task's words and the description of its fields. What all tasks
of one conversation share comes first and byte for byte the same, so that a provider's prefix cache pays for it once.
"""

import json
from collections.abc import Sequence

from domain.fields import CustomField, FieldType
from domain.turns import Turn
from engines.protocols import AnswerRequest

TASK_BORDER = "# What is asked of the conversation above\n\n"
"""Stands between the conversation and the task, so that neither runs into the other."""


def conversation_text(turns: Sequence[Turn]) -> str:
    """One JSON object a line. A line break or a quote inside a message stays inside its string: no message can pose
    as a turn, as a task or as the end of the conversation."""
    lines = (json.dumps({"turn": t.number, "role": t.role.value, "text": t.text}, ensure_ascii=False) for t in turns)
    return "# The conversation, one turn a line\n\n" + "\n".join(lines) + "\n\n"


def task_text(request: AnswerRequest) -> str:
    """The task's words, whose words may be quoted, and what each field means."""
    parts = [TASK_BORDER + request.prompt.strip()]
    if request.evidence_role is not None:
        parts.append(f"Quote only what the {request.evidence_role.value} says.")
    parts.append("# The fields\n\n" + "\n".join(field_text(field) for field in request.fields))
    if request.facts:
        facts = json.dumps(dict(request.facts), ensure_ascii=False, sort_keys=True)
        parts.append(f"# Measured facts\n\n{facts}")
    return "\n\n".join(parts)


def field_text(field: CustomField) -> str:
    """One field with its type and, for choices, option ids with labels and meanings."""
    lines = [f"- `{field.key}` ({_type_text(field)}): {field.label}. {field.description}".rstrip()]
    lines.extend(f"  - `{o.id}`: {o.label}. {o.meaning}".rstrip() for o in field.live_options)
    return "\n".join(lines)


def _type_text(field: CustomField) -> str:
    match field.type:
        case FieldType.INTEGER | FieldType.DECIMAL:
            kind = "whole number" if field.type is FieldType.INTEGER else "number"
            low = "" if field.minimum is None else f" from {field.minimum:g}"
            high = "" if field.maximum is None else f" up to {field.maximum:g}"
            return f"{kind}{low}{high}"
        case FieldType.BOOLEAN:
            return "true or false"
        case FieldType.DATE:
            return "date, YYYY-MM-DD"
        case FieldType.CHOICE:
            return "one of the options"
        case FieldType.MULTI_CHOICE:
            return "all options that apply"
        case FieldType.TEXT:
            return f"text of at most {field.max_length} characters"

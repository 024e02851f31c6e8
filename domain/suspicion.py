"""Does a conversation talk to the model that reads it?

A small detector of our own over the redacted turns, whoever speaks: orders to forget instructions, to set a field, to
play another part, and marks that pose as the borders of a prompt. It changes nothing of what is asked: requests are
built so that a message cannot order anything. What it finds is said on every value made from those turns, and words
that are such an order are no evidence for anything.

It looks for what is said *to a model*. People say much of the same to people ("ignore my last email", "give me five
stars"), and that is left alone; a rule that would catch it is not here.
"""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

from domain.conversation import Frozen
from domain.turns import Turn


class SuspicionKind(StrEnum):
    """override: forget your instructions. set_field: set CSAT to 5. role: you are now … talks_to_model: note to the
    AI. forged: marks of a prompt, of a turn or of an answer."""

    OVERRIDE = "override"
    SET_FIELD = "set_field"
    ROLE = "role"
    TALKS_TO_MODEL = "talks_to_model"
    FORGED = "forged"


class Suspicion(Frozen):
    """The sentence [start, end) of a turn, in characters of its redacted text."""

    turn: int
    start: int
    end: int
    kind: SuspicionKind


_MODEL = r"(?:an? |the |any )?(?:ai|llm|language model|large language model|chatgpt|gpt|classifier|summari[sz]er)"
_RATED = r"(?:csat|nps|csat[ _]score|nps[ _]score|sentiment|churn[ _](?:risk|reason)|contact[ _]reason|next[ _]actions)"
_ORDER = r"(?:answer|set|output|rate|score|say|write|mark|return|respond|reply|summari[sz]e|classify|report|ignore)"
_START = r"(?:^|[.!?:;,\n\"'(\[]|\b(?:and|then|now|please|just|instead|must|should)\b)[ \t]{0,10}"

_RULES: tuple[tuple[SuspicionKind, str], ...] = (
    (
        SuspicionKind.OVERRIDE,
        r"\b(?:ignore|disregard|forget|override|bypass|discard)\s+"
        r"(?:(?:all|any|of|the|your|these|those|everything|previous|prior|preceding|above|earlier|system|original|initial"
        r"|hidden|other)\s+){1,5}(?:instructions?|prompts?|system message)\b",
    ),
    (
        SuspicionKind.OVERRIDE,
        r"\b(?:ignore|disregard|forget|override)\s+(?:(?:all|any|of|the)\s+){0,3}"
        r"(?:previous|prior|preceding|above|system|earlier)\s+(?:rules|guidelines|directives|text|context|messages)\b"
        rf"(?=[^.!?\n]{{0,80}}\b{_ORDER}\b)",
    ),
    (
        SuspicionKind.OVERRIDE,
        r"\b(?:ignore|disregard|forget)\s+(?:everything|all|anything|the|what is|what's)\s+(?:of\s+)?(?:the\s+)?above\b"
        rf"(?=[^.!?\n]{{0,40}}[,;:.\-]?\s*(?:and\s+|then\s+|instead\s+)*\b{_ORDER}\b)",
    ),
    (
        SuspicionKind.OVERRIDE,
        r"\bignor(?:a|e|ad|en)\s+(?:todas?\s+)?(?:las|tus|sus)\s+(?:instrucciones|indicaciones)\s+"
        r"(?:anteriores|previas|del sistema)\b",
    ),
    (
        SuspicionKind.OVERRIDE,
        r"\b(?:ignoriere?|vergiss|missachte)\s+(?:alle\s+)?(?:deine\s+|die\s+|diese\s+)?(?:bisherigen|vorherigen|vorigen|obigen|"
        r"früheren)\s+(?:anweisungen|instruktionen|vorgaben)\b",
    ),
    (
        SuspicionKind.OVERRIDE,
        r"\b(?:ignore[rz]?|oublie[rz]?)\s+(?:toutes\s+)?(?:les|tes|vos)\s+(?:instructions|consignes)\s+"
        r"(?:précédentes|antérieures|ci-dessus|du système)",
    ),
    (
        SuspicionKind.SET_FIELD,
        rf"{_START}(?:set|make|put|mark|record|report|output|return|answer|classify|label|rate|score|write|fill in)\s+"
        rf"(?:(?:the|this|my|its|customer'?s?|conversation'?s?|field|value|of)\s+){{0,4}}[`\"']?{_RATED}[`\"']?\s*"
        r"(?:field\s+|value\s+|score\s+)?(?:to|as|is|at|=|:|with)\s*[`\"']?\w",
    ),
    (SuspicionKind.SET_FIELD, rf"^[^\w\n]{{0,20}}{_RATED}[`\"']?\s?[:=]\s?[`\"']?[\w-]{{1,40}}[^\w\n]{{0,20}}$"),
    (
        SuspicionKind.ROLE,
        r"\byou\s+are\s+(?:now|from now on|henceforth)\s+(?:acting as\s+)?(?:in\s+)?(?:an?\s+|the\s+)?(?:\w+\s+){0,2}?"
        r"(?:assistant|language model|ai|llm|chatbot|dan|jailbroken|unrestricted|developer mode|debug mode)\b",
    ),
    (
        SuspicionKind.ROLE,
        r"\b(?:enter|enable|activate|switch (?:in)?to|go into)\s+"
        r"(?:developer|debug|god|jailbreak|dan|unrestricted)\s+mode\b(?=[^.!?\n]{0,60}\b(?:ignore|answer|output|respond|instructions?|prompt)\b)",
    ),
    (
        SuspicionKind.TALKS_TO_MODEL,
        rf"\b(?:note|message|instructions?|attention|hint|reminder)\s*(?:to|for|:)\s*{_MODEL}\b",
    ),
    (
        SuspicionKind.TALKS_TO_MODEL,
        rf"\b(?:if|as|since|when)\s+you(?:'re| are)\s+{_MODEL}\b(?=[^.!?\n]{{0,80}}\b{_ORDER}\b)",
    ),
    (
        SuspicionKind.TALKS_TO_MODEL,
        rf"\b(?:whoever|whatever|the\s+(?:ai|llm|language model|model|system|classifier|summari[sz]er)(?:\s+that)?)\s+"
        r"(?:reads|reading|analy[sz]es|analy[sz]ing|evaluates|evaluating|summari[sz]es|summari[sz]ing|scores|scoring)\s+"
        rf"th(?:is|ese)\b(?=[^.!?\n]{{0,80}}\b{_ORDER}\b)",
    ),
    (
        SuspicionKind.TALKS_TO_MODEL,
        r"\b(?:reveal|print|repeat|show|output|leak|display|tell)\s+(?:me\s+)?(?:the\s+|your\s+)(?:\w+\s+)?"
        r"(?:system|hidden|initial)\s+(?:prompt|instructions)\b",
    ),
    (
        SuspicionKind.TALKS_TO_MODEL,
        r"(?:^|[.!?:;,\n]|\b(?:and|then|please)\b)[ \t]{0,10}(?:only\s+)?(?:respond|answer|output|return|reply)\s+"
        r"(?:only\s+)?(?:with|in)\s+(?:valid\s+|a\s+|the\s+following\s+){0,2}json\b",
    ),
    (
        SuspicionKind.FORGED,
        r"<\|(?:im_start|im_end|system|user|assistant|end|eot_id|start_header_id|endoftext)[^|\n]{0,20}\|?>?",
    ),
    (SuspicionKind.FORGED, r"\[/?inst\]|<</?sys>>|</?(?:system|instructions?|system_prompt|assistant)>"),
    (
        SuspicionKind.FORGED,
        r"^[ \t]{0,10}#{1,4}[ \t]{0,10}(?:system|instructions?|what is asked|the fields|new (?:task|instructions))\b",
    ),
    (SuspicionKind.FORGED, r"\{\s*\"(?:turn|kind)\"\s*:\s*(?:\d|\"(?:stated|inferred|unknown)\")"),
    (
        SuspicionKind.FORGED,
        r"^[ \t\-=#*_<>\[\]/]{0,40}(?:end|begin(?:ning)?|start) of (?:the )?"
        r"(?:conversation|transcript|context|input|data|user message)"
        r"[ \t\-=#*_<>\[\]/.:]{0,40}$",
    ),
    (
        SuspicionKind.FORGED,
        r"^[ \t]{0,10}(?:system|assistant)\s?:\s?(?:you (?:are|must|will)|ignore|disregard|set|output|answer only)\b",
    ),
)

_COMPILED = tuple((kind, re.compile(pattern, re.MULTILINE)) for kind, pattern in _RULES)
_HINTS = re.compile(
    r"ignor|disregard|forget|override|bypass|discard|vergiss|missacht|oublie|csat|nps|sentiment|churn|contact[ _]reason"
    r"|next[ _]actions|you\s+are\s+(?:now|from|henceforth|an?\b|the\b)|you're\s+(?:an?|the)\b|(?:debug|developer) mode"
    r"|\b(?:god|dan|jailbreak|unrestricted) mode|\bai\b|\bllm|language model|gpt|classifier|summari[sz]er|prompt|json"
    r"|(?:reads|reading|analy[sz]es|analy[sz]ing|evaluat(?:es|ing)|scor(?:es|ing)|summari[sz](?:es|ing)) th"
    r"|<\||\[/?inst\]|sys>|system|assistant|instruction|what is asked|the fields|new task|\"turn\"|\"kind\""
    r"|\b(?:end|begin|beginning|start) of"
)
"""Cheap: hardly any turn of an ordinary conversation gets past it to the rules."""

_MARKS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "\u00a0": " "})
SENTENCE_CHARACTERS = 1_000
MOST_SENTENCES = 50
"""Of a turn that holds more, the whole of it is suspicious."""

_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")


def suspicions(turns: Sequence[Turn]) -> tuple[Suspicion, ...]:
    """Every suspicious sentence, in the order of the turns; one for each sentence and kind."""
    return tuple(found for turn in turns for found in _of_turn(turn))


def _of_turn(turn: Turn) -> Iterator[Suspicion]:
    text = _plain(turn.text)
    if not _HINTS.search(text):
        return
    seen: set[tuple[int, int, SuspicionKind]] = set()
    for kind, rule in _COMPILED:
        told = 0
        for match in rule.finditer(text):
            if match.end() <= told:
                continue
            start, told = _sentence(text, match.start(), match.end())
            if len(seen) == MOST_SENTENCES:
                start, told = 0, len(text)
            if (start, told, kind) not in seen:
                seen.add((start, told, kind))
                yield Suspicion(turn=turn.number, start=start, end=told, kind=kind)


def _plain(text: str) -> str:
    """Lower case and plain quotes, character for character: offsets hold in both."""
    lower = text.translate(_MARKS).lower()
    if len(lower) == len(text):
        return lower
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text.translate(_MARKS))


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """The sentence around a match; of an endless one the part near it."""
    begin = earliest = max(0, start - SENTENCE_CHARACTERS)
    for stop in _SENTENCE_END.finditer(text, earliest, start):
        begin = stop.end()
    latest = min(len(text), end + SENTENCE_CHARACTERS)
    after = _SENTENCE_END.search(text, end, latest)
    return begin, after.end() if after else latest

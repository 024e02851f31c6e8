"""E-mail addresses as they are typed, spelled out, read aloud, and garbled by recognisers and chat filters."""

import re
from collections.abc import Iterator

from domain.turns import MaskKind
from engines.redaction.keywords import Topic
from engines.redaction.spans import Span
from engines.redaction.topics import Heard
from engines.redaction.words import is_common

_TYPED = re.compile(
    r"(?<![\w.+-])[\w.+'’-]{0,63}[\w]\s?@\s?[^\W_](?:[\w-]*[^\W_])?(?:\s?\.\s?[^\W_][\w-]{1,30})*", re.UNICODE
)
_AT = r"(?:\(at\)|\[at\]|\{at\}|\bat\b|\bklammeraffe\b|\barroba\b|\barobase\b|\bchiocciola\b)"
_DOT = r"(?:\.|\(dot\)|\[dot\]|\bdot\b|\bpoint\b|\bperiod\b|\bpunkt\b|\bpunto\b|\bponto\b|\bpunt\b)"
_TLD = (
    r"(?:com|net|org|edu|gov|info|biz|io|co|me|uk|de|at|ch|fr|es|it|nl|be|pl|se|no|dk|fi|pt|br|mx|ca|au|in|jp|ru|us|eu"
    r"|example|test)"
)
_PROVIDER = r"(?:gmail|googlemail|yahoo|hotmail|icloud|aol|gmx|protonmail)"
_DOMAIN = re.compile(
    rf"\s*{_AT}\s*(?P<domain>(?:[^\W_][\w-]*\s)?[^\W_][\w-]*(?:\s?{_DOT}\s?[\w-]+){{0,2}}?\s?{_DOT}\s?{_TLD}\b"
    rf"(?:\s?{_DOT}\s?{_TLD}\b)?|{_PROVIDER}(?:\s?(?:com|co uk|de|net))?\b)",
    re.IGNORECASE,
)
_GLUED = re.compile(
    r"(?<![\w.])[\w.]{0,64}?(?:gmail|hotmail|yahoo|outlook|icloud|googlemail)"
    r"\s?[. ]?\s?(?:com|co\.?\s?uk|de|fr|es|it|net)\b",
    re.IGNORECASE,
)
_BACK = re.compile(
    r"(?P<token>[\w+'’-]+(?:\.[\w+'’-]+)*)(?P<gap>[\s,]{0,2})$",
)
_CONNECTORS = frozenset(
    """
    dot point underscore dash hyphen minus plus period punkt punto ponto unterstrich bindestrich guion guión
    """.split()  # noqa: SIM905
)
_LETTER_WORDS = frozenset(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety double triple oh
    """.split()  # noqa: SIM905
)
_STOPS = frozenset(
    """
    is was it's its e-mail email mail address my the at to that's thats id yes yeah so and ist lautet es est è me us on
    with reach sent from use have under or in for bin ich meine suis je mon soy mi sono lo la el le per por para an
    """.split()  # noqa: SIM905
)
_MOST_TOKENS = 24
_WORDS_BEFORE = 2


def email_spans(heard: Heard) -> list[Span]:
    """Spans of e-mail addresses; when one was asked for, also of a garbled one."""
    text = heard.turn.text
    spans = [Span(*found.span(), MaskKind.EMAIL) for found in _TYPED.finditer(text) if _is_address(found.group())]
    spans += _spoken(heard)
    spans += _glued(text)
    if not spans and Topic.EMAIL in heard.asked:
        spans += _garbled(text)
    return spans


def _is_address(typed: str) -> bool:
    """With blanks around the sign it takes a domain: `find us @home` is none."""
    return " " not in typed or "." in typed.partition("@")[2]


def _spoken(heard: Heard) -> Iterator[Span]:
    """`jane dot doe at example dot com`: from the domain backwards to where the local part begins."""
    text = heard.turn.text
    told = Topic.EMAIL in heard.asked or any(mention.topic is Topic.EMAIL for mention in heard.mentions)
    for found in _DOMAIN.finditer(text):
        before = _BACK.search(text, max(0, found.start() - 60), found.start())
        start = _local_start(text, found.start())
        if start is None or before is None:
            continue
        word = before["token"].lower()
        if is_common(word) and word not in _LETTER_WORDS and len(word) > 1 and not told:  # `look at example.com`
            continue
        yield Span(start, found.end(), MaskKind.EMAIL)


def _local_start(text: str, end: int) -> int | None:
    """Walks back over spelled letters, digits, connectors and the words they join. None when nothing can be one."""
    start: int | None = None
    words_left = _WORDS_BEFORE
    joined = False
    for _ in range(_MOST_TOKENS):
        found = _BACK.search(text, max(0, end - 60), end)
        if found is None:
            break
        token = found["token"].lower()
        connector = token in _CONNECTORS
        letters = len(token) == 1 or token.isdigit() or token in _LETTER_WORDS
        if "," in found["gap"] and not letters:
            break
        if token in _STOPS and not joined:
            break
        if letters and len(token) > 1 and words_left < _WORDS_BEFORE and not joined:
            break
        if not connector and not letters and not joined:
            if words_left == 0 or (start is not None and is_common(token)):
                break
            words_left -= 1
        joined = connector
        start = found.start("token") if not connector else start
        end = found.start("token")
    return start


def _glued(text: str) -> Iterator[Span]:
    """`sameeragmailcom`, `raja 545 gmailcom`: a recogniser has swallowed the at and the dot."""
    for found in _GLUED.finditer(text):
        word = found.group().lower()
        if re.fullmatch(r"(?:gmail|hotmail|yahoo|outlook|icloud|googlemail)", word):
            continue
        start = found.start()
        if re.match(r"(?:gmail|hotmail|yahoo|outlook|icloud|googlemail)", word):
            before = _local_start(text, start)
            start = start if before is None else before
        yield Span(start, found.end(), MaskKind.EMAIL)


def _garbled(text: str) -> Iterator[Span]:
    """What is left of an address when the turn answers the question for one: a word that ends like a domain, or the
    only word there is."""
    for found in re.finditer(r"[\w.-]+?(?:com|net|org|co\.?uk)\b", text):
        if len(found.group()) > 7 and not is_common(found.group()):
            before = _local_start(text, found.start())
            yield Span(found.start() if before is None else before, found.end(), MaskKind.EMAIL)
            return
    only = re.fullmatch(r"\W*([\w.+-]{6,60})\W*", text)
    if only and not is_common(only[1]) and not only[1].isdigit():
        yield Span(*only.span(1), MaskKind.EMAIL)

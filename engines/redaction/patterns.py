"""What has a form of its own: addresses of mail, network and street, dates of birth, IBANs, national identifiers."""

import ipaddress
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from domain.turns import MaskKind
from engines.redaction.context import governing
from engines.redaction.dates import date_spans
from engines.redaction.keywords import Topic
from engines.redaction.numbers import DigitRun
from engines.redaction.spans import Span
from engines.redaction.topics import Heard

# -- network ----------------------------------------------------------------------------------------------

_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.IGNORECASE)


def ip_spans(heard: Heard) -> Iterator[Span]:
    """IPv4 and IPv6 addresses that can exist; times of day and version numbers are none."""
    for pattern in (_IPV4, _IPV6):
        for found in pattern.finditer(heard.turn.text):
            try:
                ipaddress.ip_address(found.group())
            except ValueError:
                continue
            if len(found.group()) > 4:
                yield Span(*found.span(), MaskKind.IP_ADDRESS)


# -- dates of birth ---------------------------------------------------------------------------------------

_BORN = re.compile(r"\b(?:born|geboren|né|née|nacid[oa]|nat[oa]|nascid[oa])\b", re.IGNORECASE)
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")


def birth_spans(heard: Heard, runs: list[DigitRun]) -> Iterator[Span]:
    """Dates after `born`, `date of birth` and the like, and dates that answer the question for one."""
    text = heard.turn.text
    told = [mention for mention in heard.mentions if mention.topic is Topic.DATE_OF_BIRTH]
    if not told and Topic.DATE_OF_BIRTH not in heard.asked:
        return
    dates = date_spans(text, runs)
    if told:
        dates = [date for date in dates if any(-40 <= date[0] - mention.end <= 60 for mention in told)]
        dates += [
            year.span() for year in _YEAR.finditer(text) if _BORN.search(text[max(0, year.start() - 12) : year.start()])
        ]
    elif not dates:
        dates = [(run.start, run.end) for run in runs if len(run.digits) in (4, 6, 8)]
    for start, end in dates:
        yield Span(start, end, MaskKind.DATE_OF_BIRTH)


# -- street addresses -------------------------------------------------------------------------------------

_NUMBER = r"(?<![\w$€£.-])\d{1,6}(?:\s?[a-zA-Z](?=[\s,]))?(?:\s?[-/]\s?\d{1,4})?"
_INNER = (
    r"(?!(?:minutes?|mins?|hours?|days?|weeks?|months?|years?|times?|people|percent|of|in|on|at|the|to|and|for|is|my|a"
    r"|more|calls?|orders?|items?|or|from|with|was|that|this|i|we|you|per|by)\b)[\w'’.-]{1,20}"
)
_ANY_CASE_SUFFIX = (
    r"(?:street|avenue|ave|road|boulevard|blvd|lane|ln|drive|court|terrace|crescent|parkway|pkwy|highway|hwy)"
)
_CASED_SUFFIX = (
    r"(?:St|Rd|Dr|Ct|Pl|Sq|Place|Square|Way|Close|Circle|Cir|Row|Gardens|Grove|Hill|Mews|Walk|Trail|Park|Green|Rise|View"
    r"|Loop|Plaza|Ave|Ln)"
)
_UNIT = r"(?:[\s,]+(?:apartment|apt|unit|suite|ste|flat|floor|#|no|building|bldg)\b\.?\s?#?\s?[\w-]{1,6})?"
_TOWN = (
    r"(?:,\s(?:[A-Z][\w'’-]+ ?){1,3})?"
    r"(?:[\s,]+(?:[A-Z]{2}\.?\s)?\s?(?:\d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}))?"
)
_STREETS = (
    re.compile(rf"{_NUMBER},?\s(?:{_INNER}\s){{1,4}}?(?i:{_ANY_CASE_SUFFIX})\b\.?(?i:{_UNIT}){_TOWN}", re.UNICODE),
    re.compile(rf"{_NUMBER},?\s(?:(?=[A-Z0-9]){_INNER}\s){{1,4}}?{_CASED_SUFFIX}\b\.?(?i:{_UNIT}){_TOWN}"),
    re.compile(r"\b(?i:p\.?\s?o\.?\s?box)\s\d{1,7}\b" + _TOWN),
    re.compile(r"\b(?i:flat|apartment|apt|unit)\.?\s\d{1,5}[a-zA-Z]?,\s?\d{1,5}\s(?:[A-Z][\w'’-]+\s?){1,4}" + _TOWN),
    re.compile(
        r"\b[A-ZÄÖÜ][\wäöüß.-]*(?:straße|strasse|str\.|weg|platz|allee|gasse|ring|damm|ufer|chaussee)\s\d{1,4}\s?[a-z]?\b"
        r"(?:,?\s\d{4,5}\s[A-ZÄÖÜ][\wäöüß-]+)?"
    ),
    re.compile(
        r"\b[A-ZÄÖÜ][\wäöüß-]+(?:er|es)?\s(?:Straße|Strasse|Str\.|Weg|Platz|Allee|Ring|Damm|Ufer)\s\d{1,4}\s?[a-z]?\b"
        r"(?:,?\s\d{4,5}\s[A-ZÄÖÜ][\wäöüß-]+)?"
    ),
    re.compile(
        r"\b\d{1,4}(?:\s?(?:bis|ter|quater))?,?\s(?i:rue|avenue|boulevard|place|chemin|allée|impasse|quai|route)\s"
        r"(?:(?:de|du|des|la|le|les|d'|l')\s?)*(?:[A-ZÀ-Ý][\w'’-]*\s?){1,4}(?:,?\s?\d{5}\s[A-ZÀ-Ý][\w-]+)?"
    ),
    re.compile(
        r"\b(?i:calle|avenida|avda\.?|plaza|paseo|via|viale|piazza|corso|rua|travessa|c/)\s(?:(?:de|del|da|do|dei|la)\s)*"
        r"(?:[A-ZÀ-Ý][\w'’-]*\s?){1,4},?\s?(?:n[º°.]?\s?)?\d{1,4}\b(?:,?\s?\d{4,5}(?:-\d{3})?\s[A-ZÀ-Ý][\w-]+)?"
    ),
    re.compile(r"\b[A-Z][\w'’-]*(?:straat|laan|weg|plein|gracht|kade|dijk|singel)\s\d{1,4}\s?[a-zA-Z]?\b(?:,?\s\d{4}\s?[A-Z]{2}\b)?"),
    re.compile(r"\b(?i:ul\.|ulica|ул\.|улица)\s(?:[^\W\d][\w'’-]*\s?){1,3}\d{1,4}[a-zA-Z]?(?:\s?/\s?\d{1,4})?"),
    re.compile(r"\b(?:[A-Z][\w'’.-]+,?\s){0,3}(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]"
               r"|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY])\s\d{5}(?:-\d{4})?\b"),
    re.compile(r"\b(?:GIR\s?0AA|[A-PR-UWYZ](?:\d{1,2}|[A-HK-Y]\d|[A-HK-Y]\d\d|\d[A-HJKPSTUW]|[A-HK-Y]\d[ABEHMNPRV-Y])"
               r"\s?\d[ABD-HJLNP-UW-Z]{2})\b"),
)  # fmt: skip
_SENTENCE_END = re.compile(
    r"(?<!\bst)(?<!\bave)(?<!\bapt)(?<!\brd)(?<!\bdr)(?<!\bno)[.!?;](?:\s|$)|\n|$", re.IGNORECASE
)
_SPOKEN_STREET = re.compile(
    r"\b(?:(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty|hundred|oh)[\s-]){1,6}"
    rf"(?:[\w'’-]+\s){{1,3}}{_ANY_CASE_SUFFIX}\b",
    re.IGNORECASE,
)
"""`forty two elm street`"""

_LONGEST_ADDRESS = 120


def address_spans(heard: Heard, runs: list[DigitRun]) -> Iterator[Span]:
    """Street addresses and postcodes by their form; in the answer to a question for one, from its number on."""
    text = heard.turn.text
    for pattern in _STREETS:
        for found in pattern.finditer(text):
            yield Span(*found.span(), MaskKind.ADDRESS)
    if heard.asked & {Topic.ADDRESS, Topic.POSTCODE}:
        start = _first_number(heard, runs)
        if start is not None:
            end = _SENTENCE_END.search(text, start, start + _LONGEST_ADDRESS)
            yield Span(start, end.start() if end else start + _LONGEST_ADDRESS, MaskKind.ADDRESS)


def _first_number(heard: Heard, runs: list[DigitRun]) -> int | None:
    """Where the first number of an answer stands that is no date and that nothing says is something else."""
    text = heard.turn.text
    said = _SPOKEN_STREET.search(text)
    starts = [said.start()] if said and Topic.ADDRESS in heard.asked else []
    dates = date_spans(text, runs)
    for run in runs:
        if any(start < run.end and run.start < end for start, end in dates):
            continue
        if governing(heard, run.start, run.end).topics & {Topic.ADDRESS, Topic.POSTCODE}:
            starts.append(run.start)
            break
    return min(starts, default=None)


# -- IBAN and national identifiers ------------------------------------------------------------------------

_DISTINCTIVE = (
    "UkNino",
    "EsNif",
    "EsNie",
    "ItFiscalCode",
    "SgFin",
    "InPan",
    "FiPersonalIdentityCode",
    "DeSocialSecurity",
    "SePersonnummer",
    "KrRrn",
    "UsMbi",
)
"""Recognizers of presidio with a form of their own and mostly a check character. Those for bare digits are left to
the words beside a number: every tenth order number passes a check digit."""

_BELIEVED = 0.4

_WORTH_A_LOOK = re.compile(
    r"[A-Z]{2}\s?\d\d|[a-z]{2}\d\d\s?[\da-z]{4}|\d{6}[A-Za-z+-]|[A-Za-z]\d{7}|\d[A-Za-z][A-Za-z0-9]\d"
)
"""Every one of these forms has one of these in it; the rest is not worth the recognizers' time."""


@cache
def _recognizers(names: tuple[str, ...]) -> tuple[Any, ...]:
    from presidio_analyzer import predefined_recognizers

    return tuple(getattr(predefined_recognizers, f"{name}Recognizer")() for name in names)


def identifier_spans(heard: Heard) -> Iterator[Span]:
    """IBANs and national identifiers of a distinctive form, by presidio's recognizers."""
    text = heard.turn.text
    if not _WORTH_A_LOOK.search(text):
        return
    for names, kind in ((("Iban",), MaskKind.ACCOUNT), (_DISTINCTIVE, MaskKind.NATIONAL_ID)):
        for recognizer in _recognizers(names):
            for result in recognizer.analyze(text, recognizer.supported_entities, None) or ():
                if result.score >= _BELIEVED and not text[result.start : result.end].isdigit():
                    yield Span(result.start, result.end, kind)

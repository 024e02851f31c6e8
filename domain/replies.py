"""What is new in an email or a ticket comment: the message without quoted history, signature and device line.

Line by line and linear in the length of the text. It prefers keeping too much: a line goes only when it is
recognised, and answers written between quoted lines stay.
"""

import re

_QUOTED = re.compile(r"\s{0,3}>")
_LONGEST_HEADER_LINE = 300
_ATTRIBUTION_LINES = 3

_WROTE = re.compile(
    r"(?:on\b.{3,}\bwrote"
    r"|am\b.{3,}\bschrieb\b.*"
    r"|le\b.{3,}\ba écrit"
    r"|el\b.{3,}\bescribió"
    r"|il\b.{3,}\bha scritto"
    r"|op\b.{3,}\bschreef\b.*"
    r"|em\b.{3,}\bescreveu"
    r"|den\b.{3,}\b(?:skrev|följande)\b.*"
    r"|(?:w dniu|dnia)\b.{3,}\b(?:pisze|napisał\(?a?\)?)"
    r"|dne\b.{3,}\bnapsal\(?a?\)?"
    r"|\d{1,4}[./-]\d{1,2}[./-].{3,}\b(?:пишет|написала?|tarihinde.*yazdı|kirjoitti|wrote)"
    r"|.{3,}のメール:?"
    r"|.{3,}写道"
    r"|.{3,}(?:님이 작성|작성))\s?[:：]",
    re.IGNORECASE,
)
_ATTRIBUTION_START = re.compile(r"(?:on|am|le|el|il|op|em|den|w dniu|dnia|dne)\s\S|\d{1,4}[./年-]", re.IGNORECASE)
_DIVIDER = re.compile(
    r"[\s>]*-{2,}\s?(?:original message|forwarded message|ursprüngliche nachricht|weitergeleitete nachricht"
    r"|message d'origine|message transféré|mensaje original|messaggio originale|oorspronkelijk bericht"
    r"|mensagem original|ursprungligt meddelande|oryginalna wiadomość|původní zpráva|исходное сообщение"
    r"|元のメッセージ|原始邮件|원본 메시지)\s?-{2,}\s*",
    re.IGNORECASE,
)
_RULE = re.compile(r"\s*[_]{20,}\s*")
_FROM = re.compile(
    r"[\s*>]{0,4}(?:from|von|de|da|van|från|fra|od|от|发件人|差出人|보낸 사람)\s?[:：]\*?\s", re.IGNORECASE
)
_HEADER = re.compile(
    r"[\s*>]{0,4}(?:from|sent|to|cc|subject|date|reply-to|von|gesendet|datum|an|betreff|de|envoyé|date|à|objet"
    r"|enviado|para|asunto|fecha|da|inviato|data|a|oggetto|van|verzonden|aan|onderwerp|från|skickat|till|ämne"
    r"|od|wysłano|do|temat|от|отправлено|кому|тема|发件人|发送时间|收件人|主题|差出人|送信日時|宛先|件名"
    r"|보낸 사람|보낸 날짜|받는 사람|제목)\s?[:：]",
    re.IGNORECASE,
)
_DEVICE = re.compile(
    r"\s*(?:sent (?:from|via|with) (?:my |outlook|yahoo|proton|samsung|mail for|gmail)|get outlook for"
    r"|von meinem \S+ gesendet|gesendet (?:von|mit) (?:meinem|outlook)|envoyé (?:de|depuis) mon"
    r"|enviado desde mi|inviato da(?:l mio)? |verzonden vanaf mijn|enviado do meu|skickat från min"
    r"|wysłane z |отправлено с ).{0,60}",
    re.IGNORECASE,
)
_DASHES = re.compile(r"--\s?")
_CLOSING = re.compile(
    r"\s*(?:(?:best|kind|kindest|warm|warmest|many)?\s?(?:regards|wishes)|best|all the best|sincerely|yours(?: \w+)?"
    r"|cheers|thanks|many thanks|thank you|thanks again|with (?:best|kind) regards|(?:mit )?(?:freundlichen|besten|"
    r"herzlichen|vielen) (?:grüßen|grüssen|dank)|(?:viele|beste|liebe|freundliche) grüße|mfg|cordialement"
    r"|bien à vous|(?:un )?saludos?(?: cordiales?)?|atentamente|cordiali saluti|distinti saluti"
    r"|met vriendelijke groet|(?:com os )?(?:melhores )?cumprimentos|atenciosamente|med vänlig hälsning"
    r"|z poważaniem|с уважением)\s*[,.!]?\s*",
    re.IGNORECASE,
)
_POSTSCRIPT = re.compile(r"\s*p\.?\s?p?\.?s\b", re.IGNORECASE)
_SIGNATURE_LINES = 8
_SIGNATURE_LINE = 80


def new_text(text: str) -> str:
    """The part of a cleaned message its author wrote for it; the whole text when nothing else would be left."""
    lines = text.split("\n")
    kept = _without_history(lines)
    kept = _without_signature(kept)
    trimmed = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    return trimmed or text


def _without_history(lines: list[str]) -> list[str]:
    """Everything up to a header that opens unmarked history, less lines marked as quoted and their attribution."""
    kept: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if len(line) > _LONGEST_HEADER_LINE:
            kept.append(line)
            at += 1
            continue
        if _DIVIDER.fullmatch(line) or _opens_header_block(lines, at):
            break
        attribution = _attribution(lines, at)
        if attribution:
            after = _next_filled(lines, at + attribution)
            if after is None or _QUOTED.match(lines[after]):
                at += attribution
                continue
            if "@" in "".join(lines[at : at + attribution]):  # a mail client wrote it: history without marks follows
                break
        if not _QUOTED.match(line):
            kept.append(line)
        at += 1
    return kept


def _opens_header_block(lines: list[str], at: int) -> bool:
    """From:, then at least two more of Sent:, To:, Subject: … within the next five lines; maybe after a rule."""
    if _RULE.fullmatch(lines[at]):
        following = _next_filled(lines, at + 1)
        return following is not None and _opens_header_block_here(lines, following)
    return _opens_header_block_here(lines, at)


def _opens_header_block_here(lines: list[str], at: int) -> bool:
    if not _FROM.match(lines[at]) or _QUOTED.match(lines[at]):
        return False
    return sum(1 for line in lines[at + 1 : at + 6] if _HEADER.match(line[:_LONGEST_HEADER_LINE])) >= 2


def _attribution(lines: list[str], at: int) -> int:
    """How many lines from here say `On …, … wrote:`; 0 when they do not. Mail clients wrap it over up to three."""
    if not _ATTRIBUTION_START.match(lines[at]) and not lines[at].endswith((":", "：")):
        return 0
    joined = ""
    for count, line in enumerate(lines[at : at + _ATTRIBUTION_LINES], start=1):
        joined = f"{joined} {line.strip()}".strip()
        if not line.strip() or len(joined) > _LONGEST_HEADER_LINE:
            return 0
        if _WROTE.fullmatch(joined):
            return count
    return 0


def _next_filled(lines: list[str], at: int) -> int | None:
    return next((n for n in range(at, min(len(lines), at + 4)) if lines[n].strip()), None)


def _without_signature(lines: list[str]) -> list[str]:
    """Cuts `-- ` and what follows, a device line at the end, and the few short lines after a closing formula."""
    lines = _without_blank_end(lines)
    for at in range(max(0, len(lines) - _SIGNATURE_LINES - 1), len(lines)):
        if _DASHES.fullmatch(lines[at]):
            return _without_blank_end(lines[:at])
    if lines and _DEVICE.fullmatch(lines[-1]):
        lines = _without_blank_end(lines[:-1])
    for at in range(max(1, len(lines) - _SIGNATURE_LINES - 1), len(lines)):
        rest = [line for line in lines[at + 1 :] if line.strip()]
        if _CLOSING.fullmatch(lines[at]) and rest and all(_is_signature_line(line) for line in rest):
            return lines[: at + 1]
    return lines


def _is_signature_line(line: str) -> bool:
    return len(line) <= _SIGNATURE_LINE and not line.rstrip().endswith(("?", "!")) and not _POSTSCRIPT.match(line)


def _without_blank_end(lines: list[str]) -> list[str]:
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    return lines[:end]

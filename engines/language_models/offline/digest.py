"""What of a conversation is worth retelling: its clauses, how much each matters, and a choice that fits the room.

A clause matters by what is done in it (a need, a deed, a promise, a refusal, a threat) and by the things it names
that no chosen clause has named yet; amounts and dates count more than words, and words more when both sides use them.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from domain.conversation import Role
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.mood import mood_of
from engines.language_models.offline.need import needs_of
from engines.language_models.offline.solvers.churn import risk_of
from engines.language_models.offline.text import Sentence, words

MAX_UNITS = 120
"""Of a long conversation so many clauses of its beginning and of its end are considered."""
MAX_SIGNATURE_WORDS = 8
SPLIT_FROM_WORDS = 13
MIN_CLAUSE_WORDS = 4
NUMBER_WEIGHT = 1.7
COST_POWER = 0.85
"""How strongly long clauses are held against: 0 not at all, 1 in full."""
REPEATED, SHARED = 0.5, 0.4
"""What a thing gains each time twice as many turns name it, and when both sides do."""
NEW_POWER = 0.5
LEAST_GAIN = 0.6
"""Gain below which a clause says nothing new."""

_CLAUSE = re.compile(
    r"(?:;|:(?=\s)|\s[-–—])\s+|"
    r",?\s+(?=(?:and|but|so|y|pero|und|aber)\s+(?:i|we|you|they|it|he|she|there|this|that|nobody|then|now|also|if|when|"
    r"please|would|could|can|(?:the|my|your|our)\s+\w+\s+(?:is|are|was|were|has|had|will|would|can|could|said|"
    r"\w+ed)|me|nos|"
    r"no|ya|ich|wir|sie|das|es|die|der|dann)\b)|"
    r",\s+(?=(?:i|we|you|they|it|he|she|there|this|that|please|because|which|although|though|while|yo|me|nos|"
    r"ich|wir|sie|"
    r"das|es|weil|porque|dann)(?:'\w+)?\s)|\s+(?=(?:because|weil|porque)\s)"
)
_CONDITION = re.compile(r"^\W*(?:(?:and|but|so|yes|no|well)\W+)?(?:if|unless|when|once|until|wenn|falls|si|cuando)\b")
_NUMBER = re.compile(
    r"[£$€]?\d[\d.,:/]*\s?(?:%|[£$€])?|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"thirteen|fourteen|"
    r"fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|"
    r"thousand|half|"
    r"twice|first|second|third|fourth|fifth|last|next|monday|tuesday|wednesday|thursday|friday|saturday|sunday|"
    r"tomorrow|"
    r"today|tonight|yesterday|week|weeks|month|months|days|january|february|march|april|june|july|august|"
    r"september|october|"
    r"november|december|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag|morgen|heute|januar|februar|"
    r"märz|mai|"
    r"juni|juli|oktober|dezember|lunes|martes|miércoles|jueves|viernes|sábado|domingo|mañana|hoy|enero|febrero|"
    r"marzo|abril|"
    r"mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre)\b"
)
_EXPLAINS = re.compile(
    r"\b(?:because|due to|looks like|seems|i can see|shows?|the reason|caused|turns out|means|instead|"
    r"your fault|our (?:fault|"
    r"mistake)|which is why|was (?:returned|delivered|sent|charged|cancelled|booked|delayed|lost|made|put|"
    r"marked|estimated|"
    r"denied|declined|noted)|outage|fault|error|mistake|by mistake|wrong|missing|limit|covered?|included?|"
    r"costs?|fee|free|"
    r"available|possible|valid|until|from|weil|wurde|kostet|porque|cuesta)\b"
)
_CHEER = re.compile(
    r"\b(?:glad|pleased|happy|delighted|thrilled|wonderful|fantastic|awesome|lovely|great news|good news|"
    r"congratulations|"
    r"satisfaction|priority|valued?|pleasure|feedback|kind words|patience|inconvenience|apologi[sz]e|sorry|"
    r"understand|"
    r"appreciate|welcome|assist|reaching out|frustrat\w+|thank(?:s| you)|enjoy|hope|good luck|take care|regret)\b"
)
_OFFERS = re.compile(
    r"\b(?:i can|we can|i could|we could|i'd like to|you can|you could|would you like|shall i|if you|puedo|"
    r"kann ich|ich kann)\b"
)
_DEED = re.compile(
    r"^\W*(?:(?:ok|okay|all|now|already|and|right)\W+)*(?:booked|done|sent|rolled back|released|changed|"
    r"confirmed|scheduled|fixed|"
    r"refunded|removed|verified|cancelled|corrected|reissued|upgraded|moved|added|reset|activated|ordered|"
    r"approved|credited|"
    r"swapped|replaced|posted|forwarded|escalated|reversed|unlocked|transferred|erledigt|hecho)\b"
)
_VERIFIES = re.compile(
    r"\b(?:last (?:four|4|three|six)|date of birth|full name|security question|to verify|verify you|"
    r"that matches|postcode|"
    r"(?:order|account|customer|reference|booking|member|policy) (?:number|name)|name (?:on|is) the|on file|"
    r"kundennummer|geburtsdatum|número de (?:cliente|pedido)|dni)\b"
)
_ASKS_FOR = re.compile(r"\b(?:please|you(?:'ll| will)? (?:need|have) to|could you|can you|bitte|por favor)\b")
_SALUTATION = re.compile(
    r"(?:dear|hi|hello|hey|good (?:morning|afternoon|evening|day)|hallo|guten tag|liebe[rs]?|sehr geehrte[rs]?|hola|"
    r"buenos días|buenas tardes|estimad[oa]s?)\b(?: (?!i\b|i'|my\b|we\b|it|you|can\b|is\b|are\b)[\w.\[\]&]+){0,4},?$"
)
_SIGN_OFF = re.compile(
    r"(?:(?:with |mit )?(?:my |many |our )?(?:kind|best|warm|warmest|friendly)?\s?(?:regards|wishes|greetings)|"
    r"yours|sincerely|"
    r"thanks|thank you|many thanks|cheers|best|all the best|(?:mit )?(?:freundlichen|besten|vielen|lieben|"
    r"schönen|viele|liebe|"
    r"beste|schöne)\s?(?:grüßen|grüße)|(?:reciba )?(?:un|atentos)?\s?(?:cordial(?:es)?|atento)?\s?saludos?|atentamente)"
    r"(?:\s+\w+){0,3},?$"
)
_NAMES_SELF = re.compile(r"\b(?:my name(?:'s| is)|mein name ist|me llamo|mi nombre es)\b")
_RECAP = re.compile(
    r"^\W*(?:ok(?:ay)?\W+|right\W+)?(?:so:|to (?:recap|summari[sz]e|sum up|confirm)|in summary|just to (?:recap|"
    r"confirm|be clear)|"
    r"what i(?:'ve| have) done)"
)
_DIGITS = re.compile(
    r"(?:\b(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|null|eins?|zwei|drei|vier|fünf|sechs|sieben|"
    r"acht|neun|cero|uno|"
    r"dos|tres|cuatro|cinco|seis|siete|ocho|nueve)\b[\s,-]*){4,}"
)
"""Digits read out: somebody's number."""
_COMMON = frozenset(
    """
    the and that this with have has had was were been are for not but you your they them their our his her she him
    its it's
    just then than there here when what where which who how why because would could should will can't don't didn't
    isn't
    i'm i've i'll i'd you're you've we're we've we'll that's there's they're from into over under about also only
    even still
    very really much more most some any all out off back get got gets give given make made take took want need like
    know
    think thing things time please okay right well now today yes one ones say said says tell told see look let come
    came
    going gone done does did being same other another too again always never ever good great fine sure may might must
    der die das und ich nicht ist sie mit mein meine auf für den dem ein eine einen habe haben wir aber auch noch
    bei von bitte
    danke wie wurde kann mir mich ihnen ihr ihre seit dass war sind hat wird
    el la los las que una uno con por para del como pero más este esta esto muy hay sus han hemos nos les son está
    """.split()  # noqa: SIM905 - a list of words is read more easily than a list of literals
)


@dataclass(frozen=True)
class Unit:
    """A sentence, or a clause of a long one, with what it is worth."""

    sentence: Sentence
    weight: float

    @cached_property
    def names(self) -> dict[str, float]:
        """What it names: numbers and beginnings of telling words, each with its own weight."""
        folded = re.sub(r"\[[a-z_]+\]", " ", self.sentence.folded)
        found = {match[0].strip(): NUMBER_WEIGHT for match in _NUMBER.finditer(folded)}
        for word in words(folded):
            if len(word) > 2 and word not in _COMMON and not word[0].isdigit() and word not in found:
                found[word[:6]] = 1.0
        return found


def units_of(analysis: Analysis) -> list[Unit]:
    """The clauses of substance with their weights, in order."""
    mood = mood_of(analysis)
    ironic = {f.sentence.index for f in mood.feelings if f.sarcastic}
    sentences = [
        s
        for s in _without_letterheads(analysis)
        if s.role in (Role.CUSTOMER, Role.AGENT, Role.BOT) and s.index not in ironic and not analysis.is_small_talk(s)
        and not is_masked(s)
    ]  # fmt: skip
    needs = [s.index for s in needs_of(analysis)]
    found = []
    for sentence in sentences:
        weight = _of_customer if sentence.role is Role.CUSTOMER else _of_agent
        for clause in _clauses(sentence):
            worth = weight(analysis, clause, needs)
            if worth > 0:
                found.append(Unit(clause, worth))
    return found if len(found) <= 2 * MAX_UNITS else found[:MAX_UNITS] + found[-MAX_UNITS:]


def _without_letterheads(analysis: Analysis) -> list[Sentence]:
    """The sentences without salutations and signatures; the subject of a letter is one, however it is punctuated."""
    kept: list[Sentence] = []
    signed = -1
    for sentence in analysis.sentences:
        if sentence.turn == signed and sentence.word_count <= MAX_SIGNATURE_WORDS:
            continue
        line, blank, _ = analysis.folded[sentence.turn].partition("\n\n")
        if blank and "\n" not in line and sentence.end <= len(line):
            if not (kept and kept[-1].turn == sentence.turn):
                turn = next(t for t in analysis.turns if t.number == sentence.turn)
                kept.append(replace(sentence, start=0, end=len(line), text=turn.text[: len(line)], folded=line))
            continue
        if _SALUTATION.match(sentence.folded):
            continue
        if _SIGN_OFF.match(sentence.folded) and "\n" in analysis.folded[sentence.turn]:
            signed = sentence.turn
            continue
        kept.append(sentence)
    return kept


def choose(
    units: Sequence[Unit], first: Sequence[Unit], room: int, cost: Callable[[Sequence[Unit]], int]
) -> list[Unit]:
    """The units to retell: `first` as far as they fit, then by what each adds for its length.

    cost: words that the units take when they are retold together.
    """
    known = _weights(units)
    chosen: list[Unit] = []
    covered: set[str] = set()

    def take(unit: Unit) -> bool:
        if unit in chosen or cost([*chosen, unit]) > room:
            return False
        chosen.append(unit)
        covered.update(unit.names)
        return True

    for unit in first:
        take(unit)
    left = [u for u in units if u not in chosen]
    while left:
        gains = [(_gain(u, covered, known), u) for u in left]
        gains = [(g, u) for g, u in gains if g >= LEAST_GAIN]
        if not gains:
            break
        best = max(gains, key=lambda hit: hit[0] / (2 + hit[1].sentence.word_count) ** COST_POWER)[1]
        take(best)
        left = [u for _, u in gains if u is not best]
    return chosen


def _weights(units: Sequence[Unit]) -> dict[str, float]:
    """What each thing is worth: more when several turns name it, most when both sides do."""
    turns: dict[str, set[int]] = defaultdict(set)
    roles: dict[str, set[Role]] = defaultdict(set)
    for unit in units:
        for name in unit.names:
            turns[name].add(unit.sentence.turn)
            roles[name].add(unit.sentence.role)
    return {n: 1 + REPEATED * math.log2(len(t)) + SHARED * (len(roles[n]) > 1) for n, t in turns.items()}


def _gain(unit: Unit, covered: set[str], known: dict[str, float]) -> float:
    new = sum(own * known[name] for name, own in unit.names.items() if name not in covered)
    return float(unit.weight * new**NEW_POWER) if new else 0.0


def _clauses(sentence: Sentence) -> list[Sentence]:
    """A long sentence in its clauses; a condition stays with what depends on it."""
    if sentence.word_count < SPLIT_FROM_WORDS or _CONDITION.match(sentence.folded):
        return [sentence]
    borders = [0]
    for match in _CLAUSE.finditer(sentence.folded):
        before, after = sentence.folded[borders[-1] : match.start()], sentence.folded[match.end() :]
        if min(len(words(before)), len(words(after))) >= MIN_CLAUSE_WORDS:
            borders.append(match.end())
    ends = [*borders[1:], len(sentence.text)]
    return [part_of(sentence, start, end) for start, end in zip(borders, ends, strict=True)]


def part_of(sentence: Sentence, start: int, end: int) -> Sentence:
    """The sentence's [start, end), offsets within it."""
    text = sentence.text[start:end]
    end -= len(text) - len(text.rstrip(" ,;:-–—"))
    return replace(
        sentence,
        start=sentence.start + start,
        end=sentence.start + end,
        text=sentence.text[start:end],
        folded=sentence.folded[start:end],
        question=sentence.question and (end >= len(sentence.text.rstrip()) - 1),
    )


def is_masked(sentence: Sentence) -> bool:
    """Whether what the sentence says was personal data, so that its masks are all there is to retell."""
    if _NAMES_SELF.search(sentence.folded) or len(words(re.sub(r"\[[a-z_]+\]", " ", sentence.folded))) == 0:
        return True
    masks = re.findall(r"\[(?!name)[a-z_]+\]", sentence.folded) + _DIGITS.findall(sentence.folded)
    return bool(masks) and (
        len(masks) > 1 or len(words(_DIGITS.sub(" ", re.sub(r"\[[a-z_]+\]", " ", sentence.folded)))) < 5
    )


def _of_customer(analysis: Analysis, clause: Sentence, needs: Sequence[int]) -> float:
    assert analysis.lexicon is not None
    outcome, text = analysis.lexicon.outcome, clause.folded
    if clause.word_count < 2:
        return 0.0
    weight = 0.6
    if clause.index in needs[:4]:
        weight += (0.9, 0.6, 0.35, 0.2)[needs.index(clause.index)]
    weight += 0.4 if _NUMBER.search(text) else 0
    weight += 0.4 if outcome.repeated.search(text) or outcome.unresolved.search(text) else 0
    weight += 0.7 if any(p.sentence.index == clause.index for p in risk_of(analysis).places[:2]) else 0
    weight += 0.3 if analysis.lexicon.promises.customer.search(text) else 0
    weight -= 0.3 if _CHEER.search(text) and not _NUMBER.search(text) else 0
    weight += 0.3 if clause.turn == analysis.customer[0].turn else 0
    return weight


def _of_agent(analysis: Analysis, clause: Sentence, needs: Sequence[int]) -> float:
    assert analysis.lexicon is not None
    lexicon, text = analysis.lexicon, clause.folded
    promises, outcome = lexicon.promises, lexicon.outcome
    if _VERIFIES.search(text):
        return 0.0
    done = outcome.agent_done.search(text) is not None or _DEED.match(text) is not None
    if clause.question or (clause.word_count < 3 and not done) or promises.momentary.search(text):
        return 0.0
    promised = promises.agent.search(text) or promises.expected.search(text)
    refused = outcome.agent_refused.search(text)
    number, explains = _NUMBER.search(text), _EXPLAINS.search(text)
    told = done or promised or refused or number or explains
    if (promises.courtesy.search(text) or _CHEER.search(text) or lexicon.agent_talk.search(text)) and not (
        done or refused or explains or re.search(r"\d", text)
    ):
        return 0.0
    if clause.role is Role.BOT and not (number or done):
        return 0.0
    if not told and clause.index == analysis.agent[0].index:
        return 0.0  # how they answer the phone
    weight = 0.45 if told else 0.35
    weight += 0.75 if done else 0
    weight += 0.6 if refused else 0
    weight += 0.5 if promised else 0
    weight += 0.35 if explains else 0
    weight += 0.35 if number else 0
    weight += 0.4 if _OFFERS.search(text) or _ASKS_FOR.search(text) else 0
    weight += 0.2 if re.search(r"\d", text) else 0
    weight += 0.8 if _RECAP.search(text) else 0
    weight -= 0.35 if _CHEER.search(text) else 0
    return weight

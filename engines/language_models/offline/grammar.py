"""Plain words and turned persons: the grammar that retelling needs, by rule and in English only."""

import re

_LEAD = re.compile(
    r"^(?:(?:(?:hi|hello|hey|hiya)(?: (?:there|all|both|again|everyone|team))?|dear|yes|yeah|yep|ok|okay|um+|"
    r"uh+|er+m?|oh|ah|aw|ooh|"
    r"hmm+|mhm|wow|and|but|also|basically|actually|honestly|(?:thanks|thank you)(?: (?:so|very) much|"
    r" a lot)? for [^,.!?]{1,60}[,.!]|(?:thanks|thank you)(?: (?:so|very) much| a lot)?(?! (?:for|so|very))|"
    r"done(?=[,.!])|sorry(?! for)|ho|"
    r"alright|all right|of course|listen|anyway|certainly|absolutely|no problem|good morning|good afternoon|"
    r"good evening|sir|madam|the thing is|hola|buenos días|buenas tardes|hallo|guten tag|to be honest|i see|"
    r"i understand|"
    r"great news|good news|first of all|ma'am|awesome|fair enough|oh no|"
    r"(?:no|right|so|well|now|sure|great|perfect|lovely|brilliant|look|just|then|again|fine|wonderful|cool|"
    r"excellent|"
    r"in that case)"
    r"(?=\s*[,.!:–-]|\s+(?:i|we|it|that|this|you|he|she|they|there|\w+'(?:m|ve|ll|d|re|s)|thank|thanks|so|no|"
    r"and|but|ok|okay|"
    r"please|can|could|what|when|where|how|let|my|your|our|is|are|do|does|did|just|then|well|right|need|wanted)\b|$)"
    r")\b[\s,.!:-]*)+",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"[\s,.!]+(?:(?:okay|alright|right) )?(?:thank you|thanks|thx|cheers|bye|goodbye|danke|gracias)"
    r"(?: (?:so|very|ever so) much| again| a lot| in advance| then| for your (?:help|time))*[\s.!]*$",
    re.IGNORECASE,
)
_FILLERS = re.compile(
    r"(?:,\s*)?\b(?:i'm afraid|to be honest|um+|uh+|er|erm|(?<!do )you know|i mean|"
    r"(?<!very )(?<!so )(?<!how )kind of(?! (?:a|the)\b)|sort of|basically|literally)\b,?\s*",
    re.IGNORECASE,
)
_MASK_OF_NUMBERS = re.compile(
    r"\s*(?:\b(?:(?:my|your|the|our|an?)\s+)?(?:\w+\s+)?(?:number|reference|account|email|e-mail|phone|address|"
    r"card|code|id)"
    r"(?:\s+(?:is|was|ends? in|ending(?: in)?))?|\b(?:for|to|at|on|under|with|of|is|was|ending(?: in)?|from|by|"
    r"via|it's|in)"
    r"(?:\s+(?:my|your|the|our))?)?\s*\[(?!name\])[a-z_]+\]('s)?",
    re.IGNORECASE,
)
"""A mask with the words that lead to it: "my number is [phone]" says nothing to a reader."""
_MASK_OF_NAME = re.compile(
    r"(?P<lead>^|[.;:!?]\s+|\b(?:and|but|when|before|that|because|who|where|until|so)\s+)\[name\](?P<own>'s)?"
    r"(?=\s+(?:who|at|from|in|has|had|is|was|will|would|said|told|can|could|did|does|[a-z]+ed)\b)",
    re.IGNORECASE,
)
"""A name that is the subject of what follows."""

FROM_CUSTOMER = (
    (r"\bi'm not\b", "they are not"),
    (r"\b(?:i'm|i am|im|we're|we are)\b", "they are"),
    (r"\b(?:i was|we were)\b", "they were"),
    (r"\bwas i\b", "were they"),
    (r"\bam i\b", "are they"),
    (r"\b(?:i've|we've|ive)\b", "they have"),
    (
        r"\b(?:i'd|we'd) (?=been|had|ordered|paid|asked|told|already|booked|called|tried|bought|signed|"
        r"seen|never|not been)",
        "they had ",
    ),
    (r"\b(?:i'd|we'd)\b", "they would"),
    (r"\b(?:i'll|we'll)\b", "they will"),
    (r"\b(?:myself|ourselves)\b", "themselves"),
    (r"\b(?:mine|ours)\b", "theirs"),
    (r"\b(?:my|our)\b", "their"),
    (r"\b(?:me|us)\b", "them"),
    (r"\b(?:i|we)\b", "they"),
    (r"\b(?:you're|you are)\b", "the company is"),
    (r"\b(?:you've|you have)\b", "the company has"),
    (r"\byou were\b", "the company was"),
    (r"\byou'll\b", "the company will"),
    (r"\byou'd\b", "the company would"),
    (r"\byours\b", "the company's"),
    (r"\byour\b", "the company's"),
    (r"\byou(?: guys| lot| all| people)?\b", "the company"),
)
FROM_AGENT = (
    (r"\b(?:i've|i have)\b", "the agent has"),
    (r"\bi'll\b", "the agent will"),
    (r"\b(?:i'm|i am)\b", "the agent is"),
    (r"\bi'd\b", "the agent would"),
    (r"\bi was\b", "the agent was"),
    (r"\bmyself\b", ""),
    (r"\bmy\b", "the agent's"),
    (r"\bme\b", "the agent"),
    (r"\bi can\b", "the agent can"),
    (r"\bi\b", "the agent"),
    (r"\b(?:we've|we have)\b", "the company has"),
    (r"\bwe'll\b", "the company will"),
    (r"\b(?:we're|we are)\b", "the company is"),
    (r"\bwe were\b", "the company was"),
    (r"\bwe'd\b", "the company would"),
    (r"\bour\b", "the company's"),
    (r"\bus\b", "the company"),
    (r"\bwe\b", "the company"),
    (r"\b(?:you've|you have)\b", "the customer has"),
    (r"\byou'll\b", "the customer will"),
    (r"\b(?:you're|you are)\b", "the customer is"),
    (r"\byou were\b", "the customer was"),
    (r"\byou'd\b", "the customer would"),
    (r"\byou (need|want|get|receive|pay|see|live|own|use|keep|send|owe|qualify)\b", r"the customer \1s"),
    (r"\b(?:yours)\b", "theirs"),
    (r"\byour\b", "their"),
    (r"\byourself\b", "themselves"),
    (r"\byou\b", "the customer"),
)


_AGREES = re.compile(
    r"(?P<before>\b(?:\w+(?:'\w+)?\s+)?)(?P<who>the (?:agent|company|customer))\s+(?P<adverb>(?:also|just|only|"
    r"really|still|"
    r"already|always|never|totally|completely|fully|do|now|then|even|kindly)\s+)?(?P<verb>need|want|have|"
    r"haven't|do|don't|hold|keep|"
    r"make|get|see|send|take|say|tell|charge|offer|give|know|hear|understand|apologi[sz]e|think|hope|find|use|"
    r"work|look|sell|"
    r"open|close|show|agree|appreciate|live|pay|call|ring|ask|suggest|recommend|promise|deliver|owe|lose|"
    r"scan|return|"
    r"collect|receive|go|come|put|let|feel|mean|guess|suppose|require|accept|ship|run|book|like|prefer|email|"
    r"text|post|place|order|write|answer|check|confirm|cancel|wait|review|read|leave|stay|believe|feel)\b",
    re.IGNORECASE,
)
_NO_AGREEMENT_AFTER = frozenset(
    """
    can could would will did do does let make makes help helps may should must shall won't can't to cannot couldn't
    didn't
    might and wouldn't don't has have hear see asked ask
    """.split()  # noqa: SIM905 - a list of words is read more easily than a list of literals
)
_THIRD = {
    "have": "has",
    "haven't": "hasn't",
    "do": "does",
    "don't": "doesn't",
    "go": "goes",
    "are": "is",
    "were": "was",
}


def plain(text: str, *, english: bool = True) -> str:
    """Without greeting, fillers, masks and end marks. english: fillers are words in other languages."""
    text = re.sub(r"\s+", " ", text.replace("’", "'")).strip()
    text = _LEAD.sub("", text)
    text = _MASK_OF_NAME.sub(lambda m: f"{m['lead']}someone{m['own'] or ''}", text)
    text = re.sub(r",?\s*\[name\]('s)?", "", text)
    text = _MASK_OF_NUMBERS.sub("", text)
    text = re.sub(r"\(\s*\)|\bsomeone someone\b|(?<=:)\s*,", "", text)
    text = _FILLERS.sub(" ", text) if english else text
    text = text.replace('"', "") if text.count('"') % 2 else text
    text = _LEAD.sub("", re.sub(r"\s+", " ", text).strip(" ,-"))
    text = _TAIL.sub("", text) if english else text
    return re.sub(r"\s+([,.;:)])", r"\1", text).strip(" ,.!;:-–—…\"'")


def third_person(text: str) -> str:
    """The verbs after "the agent", "the company", "the customer" in the third person."""

    def put(match: re.Match[str]) -> str:
        if match["before"].strip().lower() in _NO_AGREEMENT_AFTER:
            return match[0]
        verb = match["verb"]
        ending = "es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else "s"
        turned = _THIRD.get(verb.lower(), verb + ending)
        return f"{match['before']}{match['who']} {match['adverb'] or ''}{turned}"

    text = re.sub(r"\b(the (?:agent|company|customer)) (are|were)\b", lambda m: f"{m[1]} {_THIRD[m[2]]}", text)
    return re.sub(r"\s{2,}", " ", _AGREES.sub(put, text))


def persons(text: str, rules: tuple[tuple[str, str], ...]) -> str:
    """All replacements in one pass, so that what was put in is not replaced again."""
    pattern = re.compile("|".join(f"(?P<r{i}>{rule})" for i, (rule, _) in enumerate(rules)), re.IGNORECASE)

    def put(match: re.Match[str]) -> str:
        index = int((match.lastgroup or "r0")[1:])
        return re.sub(rules[index][0], rules[index][1], match[0], flags=re.IGNORECASE) if match.lastgroup else match[0]

    return pattern.sub(put, text)


def shortened(text: str, limit: int) -> str:
    """At most `limit` words, cut at a comma or a conjunction where there is one in the last half."""
    parts = text.split()
    if len(parts) <= limit:
        return text
    cut = " ".join(parts[:limit])
    borders = [m.start() for m in re.finditer(r",\s|;|\s-\s|\s(?:and|but|so|because|which|while|although)\b", cut)]
    late = [b for b in borders if b > len(cut) * 0.45]
    cut = cut[: late[-1]] if late else cut
    return re.sub(
        r"[\s,;]+(?:and|or|but|so|to|the|a|an|of|for|with|in|on|at|that|which|their|is|because)$",
        "",
        cut.rstrip(" ,;-"),
    )

"""Sentences of speech that nobody punctuated: where a clause most likely begins, and whether it asks something.

Telephone recognition often writes a turn as one run of lower-case words. A border is seen where a new subject with its
verb, a question or an opener ("okay", "thanks") begins, unless the word before says that the clause goes on ("if
you", "because i", "told me it's").
"""

import re
from collections.abc import Iterator

MIN_WORDS = 9
"""A run of fewer words is one sentence."""
MIN_PIECE = 3
"""Words a piece must have, except that an opener may stand alone with one."""

_INNER_MARK = re.compile(r"[,;:!?…]|\.(?=\s)|\n|[\"“”(]|\s-\s")

_SUBJECT = (
    r"(?:i|we|they|he|she|you|it|that|there|this|who|somebody|someone|nobody)(?:'(?:m|ve|ll|d|re|s))\b"
    r"|(?:i|we|they|he|she|it|this|that|there|nobody|somebody|someone) (?:(?:am|is|are|was|were|have|has|had|can|"
    r"could|will|would|do|does|did)(?! (?:you|i|we)\b)|isn't|aren't|wasn't|weren't|haven't|hasn't|hadn't|can't|cannot|"
    r"couldn't|won't|wouldn't|don't|doesn't|didn't|never|just|only|still|already|also|want|need|think|thought|called|"
    r"rang|tried|hope|feel|know|understand|appreciate|suppose|guess|mean|live|work|works)\b"
    r"|you (?:can|can't|could|will|won't|should|need|have|are|were|just|said|told|keep|lose|lost|don't|didn't|never|"
    r"took|sent|charged)\b"
    r"|(?:my|our|your|the) \w+(?:'s| (?:is|are|was|were|has|had|won't|isn't|doesn't|didn't|keeps|says|said|told|"
    r"will))\b"
)
_ASKING = (
    r"(?:can|could|would|will|shall|should|may) (?:you|i|we|someone|somebody)\b"
    r"|(?:do|does|did|have|has|are|is|was|were|isn't|aren't|don't|didn't|haven't|hasn't|wasn't) (?:you|i|we|it|"
    r"he|she|"
    r"they|there|that|this|anyone|anybody)\b"
    r"|(?:what|where|when|how|why|who|which)(?:'s| (?:is|are|was|were|do|does|did|can|could|should|would|will|"
    r"has|have|"
    r"am|many|much|long|far|about|time|name|kind|colour|color|happened|happens|consignment\w*))\b"
)
_OPENER = (
    r"okay|ok|alright|oh|yeah|hmm|anyway|thank you|thanks|cheers|goodbye|bye|sorry|look|listen|great|perfect|"
    r"brilliant|"
    r"lovely|wonderful|fantastic|amazing|awesome|excellent|let me|please (?:can|could|just|do|don't|send|call|"
    r"ring|cancel|"
    r"tell|make|take)"
)
_JOINT = (
    r"(?:and|but|so|because|cause|then|although|otherwise|plus)(?= (?:i|we|it|"
    r"they|he|she|you|that|there|this|my|our|your|the|now|if|when|nobody|someone|can|could|would|what|"
    r"where|how|i'm|"
    r"i've|i'll|i'd|it's|that's|there's|we've|we're|they're|you're|don't|please|again)\b)"
    r"|and (?!(?:a|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty|half|\d+)\b)"
    r"(?=(?:\w+ ){1,3}?(?:is|are|was|were|has|will|would|said|says|didn't|doesn't|won't|can|could)\b)"
    r"|meanwhile|in the meantime"
)
_OTHER_LANGUAGES = (
    r"(?:und|aber|weil|sonst|deshalb|dann|also|pero|porque|pues|así que|entonces|aunque|y)(?= \w)"
    r"|(?:ich|wir|sie|das|es|da) (?:habe|haben|hat|hab|bin|ist|sind|war|möchte|will|kann|können|brauche|bekomme|"
    r"warte|"
    r"wollte|würde|schau|schaue|ändere|schicke|melde|geht|tut|verstehe|funktioniert|reicht)\b"
    r"|(?:haben|können|könnten|wann|warum|wie|was|wo|wenn) (?:sie|ich|wir|es|das|kann|kommt|ist|soll)\b"
    r"|(?:(?:he|hemos|han|me han|me ha|nos han|le he|les he) \w+(?:ado|ido|cho|to)|tengo|tenemos|quiero|"
    r"necesito|estoy|"
    r"llevo|es que|esto es|eso es|(?:no )?(?:me|nos|le|les) (?:dice|dicen|dijeron|cobran|cobraron|siguen|cambio|"
    r"llamo|"
    r"mando|envío|descuento|gustaría|parece|sale|funciona|deja|llega)|si (?:no|el|la|me|se)|puede|podría|cuándo|cómo|"
    r"dónde|gracias|danke|vielen dank|lo siento|lo entiendo)\b"
)
_BORDER = re.compile(
    rf"\s(?=(?P<joint>{_JOINT})|(?P<opener>(?:{_OPENER})\b)|(?P<asks>{_ASKING})|(?P<subject>{_SUBJECT}))"
)
_BORDER_ELSEWHERE = re.compile(rf"\s(?={_OTHER_LANGUAGES})")

_GOES_ON = re.compile(
    r"(?:^|\s)(?:if|when|because|cause|that|which|who|whether|what|where|how|why|as|than|since|while|until|"
    r"before|after|and|"
    r"but|so|or|then|unless|once|although|though|like|of|to|for|with|from|about|in|on|at|by|into|a|an|the|my|"
    r"your|our|"
    r"their|his|her|this|these|those|no|not|any|every|is|are|was|were|be|been|am|it's|that's|i'm|you're|we're|"
    r"very|so|"
    r"really|quite|pretty|too|all|told|tell|tells|say|says|said|think|thinks|thought|know|knows|knew|hope|guess|"
    r"suppose|"
    r"believe|see|sure|afraid|glad|sorry|mean|understand|wish|feel|hear|noticed|show|shows|promised|assured|"
    r"everything|"
    r"anything|something|nothing|one|ones|can|could|will|would|should|do|does|did|don't|didn't|have|has|had|i|"
    r"we|they|he|"
    r"she|you|it|let|make|made|says|just|only|also|even|still|actually|wie|dass|wenn|ob|die|der|das|den|und|"
    r"aber|weil|"
    r"que|cuando|si|como|y|pero|porque|no|se|lo|la|el|los|las|un|una|de|a|en|con|por|para|ya|nicht|ein|eine|auch|ist|"
    r"(?:what|which|how) \w+|me|nos|le|mi|su|pues|also|ja|sie|ich|wir|es|haben|habe|da|dann|der|im|in|am|auf|zu|"
    r"deshalb)$"
)
_OPENER_GOES_ON = re.compile(
    r"(?:^|\s)(?:one|two|three|four|five|six|seven|eight|nine|ten|zero|is|it's|that's|be|was|a|an|the|so|very|"
    r"really|all|not|as|am|feel|more|say|said|just|to|no|oh|sounds|"
    r"with|for|and|of|would|are|being|been|okay|ok|i'm|we're|i|you|much|me|us|have|take|let|will|i'll|a|quick|"
    r"you'll|we'll|works?|how|what|some|any|i'd)$"
)
_THANKS = re.compile(r"\b(?:thank you|thanks)(?: (?:so|very) much)?$")
_ASKS = re.compile(
    rf"^(?:(?:and|but|so|then|okay|ok|right|well|oh|yeah|yes|no|um|uh|hi|hello|hey|sorry|because|please|now|or|"
    rf"hmm)\s+)*"
    rf"(?:{_ASKING}|(?:haben|können|könnten|kann|wann|warum|wie|wo) (?:sie|ich|wir|es|das|kommt|ist|lange|viel)\b|"
    rf"(?:puede|podría|cuándo|cómo|dónde|me dice)\b)"
)


_CONDITION = re.compile(
    r"(?:(?:and|but|so|or|yeah|yes|no|actually|well|then|okay|ok|right|uh|um)\s+)*(?:if|unless|when|wenn|falls|si|"
    r"cuando)\b(?! (?:not|is|are|do|does|can|will)\b)"
)


_WHOLE = re.compile(rf"(?:{_OPENER})|(?:i'm|it's|that's|they're|we're|he's|she's|i|it|they|we) \w+")
"""Short, and yet a piece of its own: "thanks", "that's fair", "it works"."""


def is_unmarked(folded: str) -> bool:
    """Whether the words are a long run without any mark inside."""
    return len(folded.split()) >= MIN_WORDS and _INNER_MARK.search(folded.rstrip(" .?!")) is None


def asks(folded: str) -> bool:
    """Whether a clause without a question mark is worded as a question."""
    return _ASKS.match(folded.lstrip()) is not None


def pieces(folded: str, start: int, end: int) -> list[tuple[int, int]]:
    """The run [start, end) in clauses."""
    found: list[tuple[int, int]] = []
    begin = start
    for border in _borders(folded, start, end):
        if border - begin > 1 and _enough(folded[begin:border], folded[border:end]):
            found.append((begin, border))
            begin = border
    found.append((begin, end))
    return _with_conditions(folded, found)


def _with_conditions(folded: str, found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """A condition and what depends on it are one piece: "if you email me the form i'll attach it"."""
    kept: list[tuple[int, int]] = []
    for piece in found:
        if kept and _CONDITION.match(folded[kept[-1][0] : kept[-1][1]].lstrip()) is not None:
            kept[-1] = (kept[-1][0], piece[1])
        else:
            kept.append(piece)
    return kept


def _borders(folded: str, start: int, end: int) -> Iterator[int]:
    run = folded[start:end]
    marks: set[int] = set()
    for match in _BORDER.finditer(run):
        before = run[: match.start()]
        stops = _OPENER_GOES_ON if match["opener"] else _GOES_ON
        if not match["joint"] and stops.search(before) and not _THANKS.search(before):
            continue
        marks.add(match.start())
    marks.update(m.start() for m in _BORDER_ELSEWHERE.finditer(run) if not _GOES_ON.search(run[: m.start()]))
    yield from (start + mark for mark in sorted(marks))


def _enough(piece: str, rest: str) -> bool:
    return len(rest.split()) >= 2 and (len(piece.split()) >= MIN_PIECE or _WHOLE.fullmatch(piece.strip()) is not None)

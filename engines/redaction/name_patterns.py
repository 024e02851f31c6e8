"""The words around names: `my name is …`, `Frau …`, `Best regards, …`. Data for `names`; group `name` is the name."""

import re

WORD = r"[^\W\d_](?:[^\W\d_]|['’-](?=[^\W\d_])|\.(?=[^\W\d_]\.?))*"
_PARTICLE = r"(?:(?i:de|van|von|der|den|del|della|di|da|la|al|bin|mac|mc|st\.?)\s)"
_CASED = rf"{_PARTICLE}{{0,2}}[^\W\d_a-z](?:[^\W\d_]|['’-](?=[^\W\d_]))*"
_CASED_NAME = rf"(?P<name>(?:[A-Z]\.\s?){{0,2}}{_CASED}(?:[ ](?:{_CASED}|[A-Z]\.)){{0,3}})"
_ANY_NAME = rf"(?P<name>{WORD}(?:[ ]{WORD}){{0,2}})"

_TITLE = (
    r"(?i:mr|mrs|ms|mx|miss|mister|dr|prof|professor|doctor|sr|sra|srta|mme|mlle|dhr|mevr|madame|monsieur|mademoiselle"
    r"|frau|herrn?|señora?|señorita|doña|signora?|senhora?|meneer|mevrouw|fru|rouva|господин|госпожа|г-н|г-жа)\.?"
)
_RELATIVE = (
    r"(?i:husband|wife|son|daughter|mother|father|mum|mom|dad|brother|sister|partner|boss|manager|colleague|friend"
    r"|neighbou?r|roommate|fianc[eé]e?|uncle|aunt|cousin|grandson|granddaughter|nephew|niece|assistant|boyfriend"
    r"|girlfriend|mann|frau|sohn|tochter|marido|esposa|mari|femme)"
)
_GREETING = (
    r"(?i:hi|hello|hey|dear|hallo|liebe[r]?|sehr geehrte[r]?|hola|bonjour|ciao|olá|hoi|hej|good (?:morning|afternoon"
    r"|evening)|guten (?:tag|morgen|abend))"
)
_ADDRESSING = (
    r"(?i:thanks(?: again| so much| a lot)?|thank you(?: so much| very much)?|sorry|bye|goodbye|cheers|danke|merci"
    r"|gracias|grazie|obrigad[oa]|great|sure|okay|ok|yes|no|welcome|perfect|alright|hi|hello|hey)"
)
_CLOSING = (
    r"(?i:(?:(?:best|kind|kindest|warm|warmest|many)\s)?(?:regards|wishes|thanks)|sincerely|cheers|thank you|best"
    r"|yours(?: \w+)?|(?:mit )?(?:freundlichen|besten|viele|liebe|herzliche) grüßen?|mfg|cordialement|saludos"
    r"|atentamente|cordiali saluti)"
)
_CUE = (
    r"(?i:i['’]m|i am|this is|is this|it'?s|speaking (?:with|to)|talking (?:with|to)|chatting (?:with|to)"
    r"|spoke (?:with|to)|talked (?:with|to)|speak (?:with|to)|ask for|call me|named"
    r"|(?:man|woman|guy|lady|somebody|someone|agent|person|rep) called"
    r"|in the name of|on behalf of|attn:?|c/o"
    r"|mein name ist|ich heiße|hier ist|hier spricht|me llamo|soy|je suis|ik ben|sono|jag är)"
)
_NAME_IS = (
    r"my (?:full |first |last |given |family )?name(?:'s| is)|the name(?:'s| is)|name:|name is|names are"
    r"|first name(?: is)?|last name(?: is)?|surname(?: is)?|mein name ist|ich heiße|me llamo|mi nombre es|je m'appelle"
    r"|mon nom est|mi chiamo|il mio nome è|(?:o )?meu nome é|me chamo|mijn naam is|nazywam się|mam na imię|меня зовут"
    r"|мене звати|jag heter|mitt namn är|jmenuji se|benim adım|tôi tên là|tên tôi là"
)

CASED = (
    re.compile(rf"\b{_TITLE}\s{_CASED_NAME}"),
    re.compile(rf"\b{_CUE}\s{_CASED_NAME}"),
    re.compile(
        rf"\b(?i:my|his|her|our|your|mein|meine|mon|ma|mi)\s(?i:late |ex-?)?{_RELATIVE}"
        rf"(?i:'s name is|,| named| called)?\s{_CASED_NAME}"
    ),
    re.compile(rf"(?:^|[.!?\n]\s*){_GREETING},?\s{_CASED_NAME}"),
    re.compile(rf"\b{_ADDRESSING},?\s{_CASED_NAME}(?=[.,!?\n]|$)"),
    re.compile(rf"(?:^|[.!?,]\s){_CASED_NAME}\s(?:here|speaking)\b"),
    re.compile(rf"(?:^|\n)\s*{_CLOSING}\s*[,.!]?\s*\n+\s*{_CASED_NAME}\s*(?:\n|$)"),
)
"""Followed by words with capital letters: only these count as the name."""

SAID = (
    re.compile(rf"\b(?:{_NAME_IS})\s*,?\s*(?:is\s)?(?:uh|um)?,?\s*{_ANY_NAME}", re.IGNORECASE),
    re.compile(rf"\bthis is {_ANY_NAME}(?=\s(?:speaking|from|with|calling|at|on|in|here|again)\b)", re.IGNORECASE),
    re.compile(rf"\bname {_ANY_NAME}(?=\s(?:and|account|booking|confirmation)\b|[,.]|$)", re.IGNORECASE),
    re.compile(rf"\b(?:you'?re|you are|am i) (?:speaking|talking|chatting) (?:with|to) {_ANY_NAME}", re.IGNORECASE),
)
"""Strong enough to believe without capital letters, as recognisers and hurried people write."""

INTRODUCED = re.compile(
    rf"(?:^|\b(?:hi|hello|hey),? )(?:i am|i['’]?m) (?P<name>{WORD} {WORD})(?=$|[.,!]| and\b| from\b| calling\b)",
    re.IGNORECASE,
)
"""`i am james william`: two words that are nothing else."""

EAST_ASIAN = re.compile(
    r"(?:我叫|我是|我姓|私は|わたしは|제 이름은|저는)\s?"
    r"(?P<name>[\u4e00-\u9fff\u3040-\u30ff\uac00-\ud7a3]{2,6}?)"
    r"(?=[,，。.、!！]|です|と申|입니다|이에요|$)"
)

LEAD_IN = re.compile(
    r"(?:\W|\b(?:hi|hello|hey|yes|yeah|yep|yup|sure|ok|okay|of course|certainly|absolutely|no problem|um|uh|er|so|well"
    r"|and|oh|thanks|thank you|please|it's|its|it is|that's|thats|that is|that would be|it would be|this is|my|full"
    r"|first|last|family|name|names|surname|the|is|i'm|im|i am|booked|under|on|account|speaking|here|sorry|right"
    r"|listed as|ja|sicher|gerne|ich|bin|heiße|mein|ist|mi|nombre|es|soy|me llamo|sí|claro|oui|bien sûr|je|suis|mon"
    r"|nom|est|c'est)\b)*",
    re.IGNORECASE,
)
"""What stands before the name in an answer."""

SET_OFF = re.compile(
    r"\s?(?:[,;.\d\n]|and\b|with\b|my\b|account\b|booking\b|confirmation\b|und\b|y\b|et\b)", re.IGNORECASE
)
"""What sets the name off from the rest of an answer."""

_AS_IN = r"(?:as in|like in|like|for|wie)"
SPELLED = (
    re.compile(r"\b[^\W\d_](?:(?:\s?[-.,]\s?|\s)(?:double\s)?[^\W\d_](?![\w'’])){2,}", re.IGNORECASE),
    re.compile(rf"\b[^\W\d_]\s{_AS_IN}\s\w+(?:,?\s(?:and\s)?[^\W\d_]\s{_AS_IN}\s\w+)+", re.IGNORECASE),
)
"""`M-I-N-H`, `m as in mike, i as in india`."""

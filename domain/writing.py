"""Is a text written in the language it should be in?

Only clear cases are told: another script, or a text full of the function words of a language that is not the one
wanted. Everything else passes, short texts and close relatives too. No library: this runs where answers are checked.
"""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

FEWEST_LETTERS = 12
FEWEST_WORDS = 12
CLEAR_SHARE = 0.3
"""Of the words of real sentences about so many are function words of their language, and fewer of any other."""

SPOKEN_SHARE = 0.08
"""Share from which on a conversation speaks a language too."""

SHARE_OF_SCRIPT = 0.05
CHARACTERS_READ = 20_000

_WORD = re.compile(r"[^\W\d_]+")
_ONE_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "BOPOMOFO": "CJK", "KATAKANA-HIRAGANA": "CJK"}
_FUNCTION_WORDS = {
    language: frozenset(listed.split())
    for language, listed in {
        "en": "i we the and you is to of it that have for my not with was are this but be on they he she his her their "
        "from has had were been will would who which as at by or an said after because about",
        "de": "der die das und ich nicht ist es zu mit den dem ein eine einen hat wurde auf für von im sich sie wird "
        "wegen nach bei auch aber dass war werden",
        "es": "el los las que del y en una un por con para se su no es lo ha fue al como pero más está le ya porque",
        "fr": "le les des et est une un dans que qui pour pas sur avec il elle au aux du ce cette sont été a "
        "son ses mais par plus ne pas",
        "it": "il gli di che è e un una per non con del della dei nel ha sono si ma come alla al dal più anche stato",
        "pt": "o os as que do da dos das e em um uma para com não é por no na foi se mais ao mas está pelo",
        "nl": "de het een en van is dat niet op te voor met zijn heeft aan er maar door naar werd bij ook om als wordt",
    }.items()
}


def strange_language(text: str, conversation: str, wanted: str | None = None, spoken: str | None = None) -> bool:
    """Whether the text is clearly in another language than it should be.

    conversation: what was said. wanted: BCP-47 tag of the language asked for; None: one that is spoken in the
    conversation. spoken: the conversation's language as it was identified, None when it is not known.
    """
    heard = conversation[:CHARACTERS_READ]
    if _strange_script(text, heard, wanted):
        return True
    words = _words(text)
    if len(words) < FEWEST_WORDS:
        return False
    shares = _shares(words)
    clear = max(shares, key=lambda language: shares[language])
    if shares[clear] < CLEAR_SHARE:
        return False
    if wanted is not None:
        return clear != _base(wanted) and shares.get(_base(wanted), 0.0) < shares[clear] / 2
    said = _shares(_words(heard))
    if spoken is None:
        return said[clear] < SPOKEN_SHARE and max(said.values()) >= CLEAR_SHARE
    return clear != _base(spoken) and said[clear] < SPOKEN_SHARE


def _strange_script(text: str, heard: str, wanted: str | None) -> bool:
    scripts = _scripts(text)
    letters = sum(scripts.values())
    if letters < FEWEST_LETTERS:
        return False
    script, count = scripts.most_common(1)[0]
    if count * 2 < letters:
        return False
    if wanted is not None:
        return _base(wanted) in _FUNCTION_WORDS and script != "LATIN"
    said = _scripts(heard)
    return said[script] < SHARE_OF_SCRIPT * max(1, sum(said.values()))


def _base(tag: str) -> str:
    return tag.split("-", maxsplit=1)[0].lower()


def _scripts(text: str) -> Counter[str]:
    return Counter(_script(character) for character in text if character.isalpha())


@lru_cache(maxsize=10_000)
def _script(character: str) -> str:
    name = unicodedata.name(character, "OTHER").split(" ", 1)[0]
    return _ONE_SCRIPT.get(name, name)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _shares(words: list[str]) -> dict[str, float]:
    total = max(1, len(words))
    return {language: sum(w in listed for w in words) / total for language, listed in _FUNCTION_WORDS.items()}

"""One conversation, read once for all tasks: sentences, language, feelings, cues, embeddings.

An analysis is computed lazily and kept in a bounded cache under a hash of what was read, so that the six tasks of one
conversation share it, in whatever order and thread they come.
"""

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.conversation import Role
from domain.turns import Turn
from engines.language_models.offline import context, speakers, speech
from engines.language_models.offline.context import Feeling
from engines.language_models.offline.cues import CueSet
from engines.language_models.offline.embeddings import shared_embedder
from engines.language_models.offline.lexicon import lexicon
from engines.language_models.offline.lexicon.base import Lexicon
from engines.language_models.offline.text import MAX_TURN_CHARS, Sentence, fold, guess_language, spans, words

MAX_SENTENCES_PER_END = 400
"""Of a very long conversation only this many sentences of its beginning and of its end are read."""

WORDS_TELLING_LANGUAGE = 6
"""With fewer words of the customer's the agent's tell the language too."""

_MASK = re.compile(r"\[[a-z_]+\]")


@dataclass(frozen=True)
class Event:
    """A cue that means what it says where it stands. [start, end) are offsets in the turn."""

    sentence: Sentence
    start: int
    end: int
    name: str
    weight: float

    @property
    def text(self) -> str:
        begin = self.sentence.start
        return self.sentence.text[self.start - begin : self.end - begin]


class Analysis:
    """What the solvers read. Everything refers to the turns as they were given (the redacted rendition)."""

    def __init__(self, turns: Sequence[Turn], language_hint: str | None) -> None:
        self.turns = tuple(turns)
        own = " ".join(t.text for t in turns if t.role in (Role.CUSTOMER, Role.UNKNOWN))[:20_000]
        enough = len(words(fold(own))) >= WORDS_TELLING_LANGUAGE
        everyone = own if enough else " ".join(t.text for t in turns)[:20_000]
        self.language = guess_language(everyone, language_hint)
        self.folded = {t.number: fold(t.text[:MAX_TURN_CHARS]) for t in self.turns}
        self.memo: dict[Hashable, Any] = {}
        self._vectors: dict[str, NDArray[np.float32]] = {}

    @cached_property
    def lexicon(self) -> Lexicon | None:
        """None for a language without one: then nothing is known."""
        return lexicon(self.language) if self.language else None

    @cached_property
    def sentences(self) -> tuple[Sentence, ...]:
        found: list[Sentence] = []
        for turn in self.turns:
            text, folded = turn.text[:MAX_TURN_CHARS], self.folded[turn.number]
            unmarked = not re.search(r"[.?!](?=\s|$)", folded)
            for start, end in spans(text):
                question = "?" in folded[start : end + 1] or (unmarked and speech.asks(folded[start:end]))
                sentence = Sentence(
                    len(found), turn.number, turn.role, start, end, text[start:end], folded[start:end], question
                )
                found.append(self._with_guessed_role(sentence))
        if len(found) > 2 * MAX_SENTENCES_PER_END:
            found = found[:MAX_SENTENCES_PER_END] + found[-MAX_SENTENCES_PER_END:]
        return tuple(found)

    def _with_guessed_role(self, sentence: Sentence) -> Sentence:
        """When speakers are not separated, the turns tell who speaks; one turn may hold the words of both."""
        if sentence.role is not Role.UNKNOWN or self.lexicon is None:
            return sentence
        speaks_as_agent = self.lexicon.agent_talk.search(sentence.folded) is not None
        return replace(sentence, role=Role.AGENT if speaks_as_agent else self._speakers[sentence.turn])

    @cached_property
    def _speakers(self) -> dict[int, Role]:
        return speakers.guessed(self.turns, self.folded, self.lexicon) if self.lexicon is not None else {}

    @cached_property
    def customer(self) -> tuple[Sentence, ...]:
        return tuple(s for s in self.sentences if s.role is Role.CUSTOMER)

    @cached_property
    def agent(self) -> tuple[Sentence, ...]:
        """Everyone who speaks for the company: agents, and bots where they promise something."""
        return tuple(s for s in self.sentences if s.role in (Role.AGENT, Role.BOT))

    @cached_property
    def customer_turns(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(s.turn for s in self.customer))

    @cached_property
    def feelings(self) -> tuple[Feeling, ...]:
        """The customer's feelings in order of the conversation."""
        if self.lexicon is None:
            return ()
        return tuple(
            feeling
            for turn in self._by_turn(self.customer)
            for feeling in context.feelings_of(turn, self.folded[turn[0].turn], self.lexicon)
        )

    @staticmethod
    def _by_turn(sentences: Sequence[Sentence]) -> Iterator[list[Sentence]]:
        turn: list[Sentence] = []
        for sentence in sentences:
            if turn and turn[0].turn != sentence.turn:
                yield turn
                turn = []
            turn.append(sentence)
        if turn:
            yield turn

    def cues(self, cue: CueSet, sentences: Sequence[Sentence]) -> Iterator[Event]:
        """Every place where the cue stands, whatever it means there."""
        for sentence in sentences:
            for match in cue.find(self.folded[sentence.turn], sentence.start, sentence.end):
                yield Event(sentence, match.start(), match.end(), cue.name, cue.weight)

    def events(
        self, cue: CueSet, sentences: Sequence[Sentence], *, questions: bool = True, hypotheses: bool = False
    ) -> Iterator[Event]:
        """The cue where it is meant: not denied, not told of others; asked or wished only when that is allowed."""
        assert self.lexicon is not None
        for event in self.cues(cue, sentences):
            sentence, folded = event.sentence, self.folded[event.sentence.turn]
            if sentence.question and not questions:
                continue
            denies_itself = self.lexicon.context.negation.search(folded[event.start : event.end]) is not None
            if not denies_itself and context.is_negated(sentence, folded, event.start, self.lexicon):
                continue
            if not hypotheses and context.is_hypothetical(sentence, folded, event.start, self.lexicon):
                continue
            if context.is_reported(sentence, folded, event.start, self.lexicon, state=False):
                continue
            if self.lexicon.context.reported_promise.search(folded[sentence.start : event.start]):
                continue
            yield event

    def is_small_talk(self, sentence: Sentence) -> bool:
        """Greetings, thanks and acknowledgements: nothing to retell, nothing to quote."""
        if self.lexicon is None:
            return False
        rest = _MASK.sub(" ", sentence.folded).strip(" .,!?…")
        if len(words(rest)) <= 1:
            return True
        pieces = [piece.strip() for piece in re.split(r"[,.!?;]| - ", rest) if piece.strip()]
        return all(_is_whole(self.lexicon.small_talk, piece) for piece in pieces)

    def speaks_of_self(self, sentence: Sentence) -> bool:
        """False when the sentence passes on what others feel, say or get, or what might be."""
        if self.lexicon is None:
            return False
        folded = self.folded[sentence.turn]
        last_word = sentence.start + sentence.folded.rstrip(" .!?").rfind(" ") + 1
        return not (
            context.is_reported(sentence, folded, last_word, self.lexicon)
            or self.lexicon.context.other_company.search(sentence.folded)
            or self.lexicon.context.reported_promise.search(sentence.folded)
            or sentence.folded.startswith(("if ", "unless ", "should "))
        )

    def vectors(self, sentences: Sequence[Sentence]) -> NDArray[np.float32]:
        """Embeddings of the sentences, shape (n, 384), each computed once. English only: the model knows no other."""
        missing = [s.text for s in sentences if s.text not in self._vectors]
        for text, vector in zip(missing, shared_embedder().embed(missing), strict=True):
            self._vectors[text] = vector
        if not sentences:
            return np.zeros((0, 384), dtype=np.float32)
        return np.stack([self._vectors[s.text] for s in sentences])


def _is_whole(cue: CueSet, text: str) -> bool:
    """Whether the text is nothing but the cue's phrases, one after another."""
    rest = text
    while rest:
        match = cue.search(rest)
        if match is None or match.start() != 0:
            return False
        rest = rest[match.end() :].strip()
    return True


class AnalysisCache:
    """The newest analyses, by content. Thread-safe; `size` bounds the memory (about 1 MB for 40 long ones)."""

    def __init__(self, size: int = 32) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Analysis] = OrderedDict()

    def get(self, turns: Sequence[Turn], language_hint: str | None) -> Analysis:
        key = self._key(turns, language_hint)
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                found = self._kept[key] = Analysis(turns, language_hint)
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return found

    @staticmethod
    def _key(turns: Sequence[Turn], language_hint: str | None) -> str:
        digest = hashlib.sha256((language_hint or "").encode())
        for turn in turns:
            digest.update(f"\x1e{turn.number}\x1f{turn.role}\x1f".encode())
            digest.update(turn.text.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

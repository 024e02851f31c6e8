"""How the conversation went for the customer: the last word, the strongest words, and whether the matter was solved.

Shared by satisfaction, sentiment and churn risk, so that they never contradict one another by accident.
"""

import math
import re
from dataclasses import dataclass, replace

import numpy as np

from engines.language_models.offline.analysis import Analysis, Event
from engines.language_models.offline.classifiers import classifier, feeling_features
from engines.language_models.offline.context import Feeling
from engines.language_models.offline.cues import CueSet
from engines.language_models.offline.text import Sentence, words

ENDING_SHARE = 0.4
"""The last share of the customer's turns is the ending; at least MIN_ENDING_TURNS."""
MIN_ENDING_TURNS = 2
CLEAR = 1.5
CLASSIFIED_AT_START, CLASSIFIED_AT_END = 5, 7
"""So many sentences of the customer's beginning and end are read by the classifier; each costs about 5 ms."""
MIN_SHOUTED_WORDS = 3
LIKELY, SURE, VERY_SURE = 0.55, 0.72, 0.88
LIKELY_PRAISE = 0.65
"""From this strength on a feeling is more than a colouring of words."""

_ACKNOWLEDGING = frozenset(
    """
    that's thats that is it's its it this ok okay oh yes yeah so just then and great perfect lovely brilliant excellent
    thanks thank you cheers ta good fine cool awesome fab absolutely alright right well much very many sounds for your
    help time all the information
    perfecto genial gracias vale muchas muy bien super prima danke vielen gut alles klar
    """.split()  # noqa: SIM905 - a list of words is read more easily than a list of literals
)
"""A sentence of these words alone acknowledges."""


@dataclass(frozen=True)
class Mood:
    """feelings: all of the customer's. ending_*: strongest feelings of the ending, 0 when there is none.

    last: the last clear feeling. resolved / unresolved: the customer's last word on it, at most one of the two.
    helped / refused: what the agent did.
    """

    feelings: tuple[Feeling, ...]
    ending: tuple[Feeling, ...]
    last: Feeling | None
    resolved: Event | None
    unresolved: Event | None
    reluctant: Event | None
    repeated: Event | None
    escalated: Event | None
    helped: Event | None
    refused: Event | None

    def strongest(self, *, positive: bool, ending: bool = False) -> Feeling | None:
        pool = [f for f in (self.ending if ending else self.feelings) if (f.strength > 0) == positive]
        return max(pool, key=lambda f: (abs(f.strength), f.sentence.index), default=None)


def mood_of(analysis: Analysis) -> Mood:
    """Computed once per conversation. The analysis must have a lexicon."""
    if "mood" not in analysis.memo:
        analysis.memo["mood"] = _mood(analysis)
    found: Mood = analysis.memo["mood"]
    return found


def _mood(analysis: Analysis) -> Mood:
    assert analysis.lexicon is not None
    outcome = analysis.lexicon.outcome
    heard = _with_the_classifier(analysis, [_softened(f) for f in analysis.feelings])
    feelings = tuple(_contagious_irony(analysis, _with_shouting(analysis, heard)))
    turns = analysis.customer_turns
    first_of_ending = turns[-max(MIN_ENDING_TURNS, math.ceil(len(turns) * ENDING_SHARE)) :][0] if turns else 0
    ending = tuple(f for f in feelings if f.sentence.turn >= first_of_ending)
    resolved = list(analysis.events(outcome.resolved, analysis.customer, questions=False))
    unresolved = list(analysis.events(outcome.unresolved, analysis.customer))
    last_resolved = resolved[-1] if resolved else None
    last_unresolved = unresolved[-1] if unresolved else None
    if last_resolved and last_unresolved:
        if last_resolved.sentence.index > last_unresolved.sentence.index:
            last_unresolved = None
        else:
            last_resolved = None
    clear = [f for f in feelings if abs(f.strength) >= CLEAR]
    return Mood(
        feelings=feelings,
        ending=ending,
        last=clear[-1] if clear else None,
        resolved=last_resolved,
        unresolved=last_unresolved if last_unresolved and last_unresolved.sentence.turn >= first_of_ending else None,
        reluctant=next(
            (e for e in analysis.cues(outcome.reluctant, analysis.customer) if e.sentence.turn >= first_of_ending), None
        ),
        repeated=next(analysis.events(outcome.repeated, analysis.customer), None),
        escalated=next(analysis.events(outcome.escalation, analysis.customer, hypotheses=True), None),
        helped=_last(analysis, outcome.agent_done),
        refused=_last(analysis, outcome.agent_refused),
    )


def _with_the_classifier(analysis: Analysis, found: list[Feeling]) -> list[Feeling]:
    """Adds what has no feeling word in it ("He laughed and put the phone down"), drops what only looks like feeling."""
    if analysis.language != "en":
        return found
    read = _read_by_the_classifier(analysis)
    if not read:
        return found
    model = classifier("feeling")
    rows = [feeling_features(s, v, list(analysis.feelings)) for s, v in zip(read, analysis.vectors(read), strict=True)]
    bad, good = model.labels.index("negative"), model.labels.index("positive")
    told = {s.index: p for s, p in zip(read, model.probabilities(np.stack(rows)), strict=True)}
    kept: list[Feeling] = []
    for feeling in found:
        probabilities = told.get(feeling.sentence.index)
        if probabilities is None or feeling.sarcastic:
            kept.append(feeling)
            continue
        for_it, against = (good, bad) if feeling.strength > 0 else (bad, good)
        if probabilities[against] > SURE:
            continue
        doubtful = probabilities[for_it] < (1 - VERY_SURE) and abs(feeling.strength) < 3
        kept.append(replace(feeling, strength=feeling.strength / 2) if doubtful else feeling)
    felt = {f.sentence.index for f in found}
    for sentence in read:
        if sentence.index in felt or not analysis.speaks_of_self(sentence):
            continue
        for sign, column in ((-1.0, bad), (1.0, good)):
            share = float(told[sentence.index][column])
            if share > (LIKELY if sign < 0 else LIKELY_PRAISE) and not (sign > 0 and sentence.question):
                strength = sign * (2.0 if share > VERY_SURE else 1.5 if share > SURE else 1.0)
                kept.append(Feeling(sentence, sentence.start, sentence.end, strength))
    return sorted(kept, key=lambda f: (f.sentence.index, f.start))


def _with_shouting(analysis: Analysis, found: list[Feeling]) -> list[Feeling]:
    """Capitals raise the voice: SHOUTED words count more, and shouting alone is no calm question. So is "??"."""
    felt = {f.sentence.index for f in found}
    louder = [replace(f, strength=f.strength - 1.0) if f.strength < 0 and _is_shouted(f.sentence) else f for f in found]
    for sentence in analysis.customer:
        if sentence.index in felt:
            continue
        if _is_shouted(sentence):
            louder.append(Feeling(sentence, sentence.start, sentence.end, -2.0))
        elif re.search(r"\?\?|\?!|!\?", analysis.folded[sentence.turn][sentence.start : sentence.end + 1]):
            louder.append(Feeling(sentence, sentence.start, sentence.end, -1.0))
    return sorted(louder, key=lambda f: (f.sentence.index, f.start))


def _is_shouted(sentence: Sentence) -> bool:
    letters = [c for c in re.sub(r"\[[a-z_]+\]", "", sentence.text) if c.isalpha()]
    return sentence.word_count >= MIN_SHOUTED_WORDS and len(letters) >= 12 and all(c.isupper() for c in letters)


def _contagious_irony(analysis: Analysis, found: list[Feeling]) -> list[Feeling]:
    """Who is sarcastic once means the next compliment no better, unless they thank or the matter is solved."""
    assert analysis.lexicon is not None
    ironic = [f.sentence.index for f in found if f.sarcastic]
    if not ironic:
        return found
    first = ironic[0] if len(ironic) == 1 else 0
    lexicon = analysis.lexicon
    turned = []
    for feeling in found:
        sincere = (
            feeling.strength <= 1
            or feeling.sentence.index < first - 2
            or lexicon.feelings.gratitude.search(feeling.sentence.folded)
            or lexicon.outcome.resolved.search(feeling.sentence.folded)
            or re.search(r"\b(?:thanks?|thank you|you've been|you were)\b", feeling.sentence.folded)
        )
        turned.append(feeling if sincere else replace(feeling, strength=-2.0, sarcastic=True))
    return turned


def _read_by_the_classifier(analysis: Analysis) -> list[Sentence]:
    substance = [s for s in analysis.customer if not analysis.is_small_talk(s)]
    if len(substance) <= CLASSIFIED_AT_START + CLASSIFIED_AT_END:
        return substance
    return substance[:CLASSIFIED_AT_START] + substance[-CLASSIFIED_AT_END:]


def _last(analysis: Analysis, cue: CueSet) -> Event | None:
    found = [e for e in analysis.cues(cue, analysis.agent) if not e.sentence.question]
    return found[-1] if found else None


def _softened(feeling: Feeling) -> Feeling:
    """A bare "Perfect, thanks" acknowledges; it is no praise."""
    said = words(re.sub(r"\[[a-z_]+\]", " ", feeling.sentence.folded))
    if feeling.strength >= 3 and len(said) == 1 and said[0].isalpha() and "!" not in feeling.sentence.text:
        return replace(feeling, strength=2.0)
    if feeling.strength < CLEAR or feeling.strength >= 3:
        return feeling
    if len(said) <= 6 and all(word in _ACKNOWLEDGING for word in said):
        return Feeling(feeling.sentence, feeling.start, feeling.end, 1.0, feeling.sarcastic)
    return feeling

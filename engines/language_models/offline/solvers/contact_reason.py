"""Contact reason: cues of the starter taxonomy and a classifier of meaning, over the customer's first words.

A tenant's own options, which have no cues, are judged by likeness to their meaning (`solvers.choice`).
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from dataclasses import field as data_field

from domain.fields import CustomField
from engines.language_models.offline.analysis import Analysis
from engines.language_models.offline.classifiers import classifier, reason_features
from engines.language_models.offline.evidence import Ground, quotes
from engines.language_models.offline.found import Found, Question, known, unknown
from engines.language_models.offline.mood import CLEAR, mood_of
from engines.language_models.offline.need import needs_of
from engines.language_models.offline.solvers import choice
from engines.language_models.offline.text import Sentence

DECAY = 0.72
"""What a turn counts compared with the one before it."""
CLASSIFIED_WEIGHT = 4.0
LEAST_SHARE = 0.15
MIN_SCORE, MIN_SCORE_UNSAID = 1.5, 2.2
"""What the best reason needs; more when only the classifier sees it and no word says it."""
SAYS_QUESTION = 6.0
"""Weight of the cues by which customers say that they only have a question."""
PLAIN = 5.0
"""Weight from which on the words say plainly that it is more than a question."""
DENIABLE = frozenset({"complaint", "refund_return", "cancellation"})
"""Reasons that customers also name to say that it is not theirs: "I don't want to send it back"."""
PRAISE = 3.0
"""Strength of feeling in the first turn from which on the contact is praise; and what each place of it weighs."""
_WANTS = re.compile(
    r"\b(?:i|we)(?:'d| would) like to (?!thank|say|tell|praise|let)|\b(?:i|we) (?:want|need|wish) to (?!thank|"
    r"say|tell|praise)|"
    r"\b(?:can|could|would) you|\bplease (?!pass|thank|tell|give|say)"
)
READ_SENTENCES = 14
CLASSIFIED_SENTENCES = 5


@dataclass
class _Tally:
    score: float = 0.0
    said: bool = False
    grounds: list[tuple[float, Ground]] = data_field(default_factory=list)

    def add(self, weight: float, ground: Ground) -> None:
        self.score += weight
        self.grounds.append((weight, ground))


def solve(analysis: Analysis, field: CustomField, question: Question) -> Found:
    if analysis.lexicon is None:
        return unknown("The offline engine does not read this language.")
    known_options = {o.id for o in field.live_options} & set(analysis.lexicon.reasons)
    if not known_options:
        return choice.solve(analysis, field, question)
    tallies = _by_cues(analysis, known_options)
    if analysis.language == "en":
        _add_classified(analysis, {o.id for o in field.live_options}, tallies)
    _prefer_the_specific(tallies)
    if "other" in known_options:
        _add_praise(analysis, tallies)
    ranked = sorted(tallies.items(), key=lambda item: -item[1].score)
    if not ranked or ranked[0][1].score < (MIN_SCORE if ranked[0][1].said else MIN_SCORE_UNSAID):
        return unknown("The customer does not say why they got in touch.")
    reason, tally = ranked[0]
    label = next(o.label for o in field.live_options if o.id == reason)
    grounds = [ground for _, ground in sorted(tally.grounds, key=lambda g: -g[0])]
    evidence = quotes(analysis, grounds, question.evidence_role, limit=2)
    return known(reason, f"What the customer says first is about: {label.lower()}.", evidence)


def _reading(analysis: Analysis) -> list[tuple[Sentence, float]]:
    """The customer's sentences of substance with their weight: the need comes first and counts most."""
    substance = [s for s in analysis.customer if not analysis.is_small_talk(s)][:60]
    turns = list(dict.fromkeys(s.turn for s in substance))
    needs = needs_of(analysis)
    read = []
    for sentence in substance[:READ_SENTENCES]:
        order = turns.index(sentence.turn)
        weight = DECAY**order
        if needs and sentence is needs[0]:
            weight *= 1.35
        read.append((sentence, weight))
    return read


def _by_cues(analysis: Analysis, options: set[str]) -> dict[str, _Tally]:
    assert analysis.lexicon is not None
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    for sentence, position in _reading(analysis):
        for reason in options:
            hits = [
                (event.weight, event)
                for cue in analysis.lexicon.reasons[reason]
                for event in (
                    analysis.events(cue, (sentence,), hypotheses=True)
                    if reason in DENIABLE
                    else analysis.cues(cue, (sentence,))
                )
            ]
            if not hits:
                continue
            weight, event = max(hits, key=lambda hit: hit[0])
            extra = 0.25 * (len({e.text for _, e in hits}) - 1)
            tallies[reason].said = True
            tallies[reason].add(position * (weight + min(extra, 1.0)), Ground(sentence, event.start, event.end))
    return tallies


def _add_classified(analysis: Analysis, options: set[str], tallies: dict[str, _Tally]) -> None:
    """What the classifier makes of the most telling sentences."""
    sentences = needs_of(analysis)[:CLASSIFIED_SENTENCES]
    if not sentences:
        return
    model = classifier("reason")
    turns = list(dict.fromkeys(s.turn for s in sorted(sentences, key=lambda s: s.index)))
    for rank, (sentence, told) in enumerate(
        zip(sentences, model.probabilities(reason_features(analysis.vectors(sentences))), strict=True)
    ):
        position = DECAY ** turns.index(sentence.turn) * (1.0 if rank == 0 else 0.6)
        for reason, share in zip(model.labels, told, strict=True):
            if reason in options and share > LEAST_SHARE:
                tallies[reason].add(CLASSIFIED_WEIGHT * float(share) * position, Ground.of(sentence))


def _add_praise(analysis: Analysis, tallies: dict[str, _Tally]) -> None:
    """Who opens with praise and with no matter of their own came to say so."""
    opening = analysis.customer_turns[:1]
    feelings = [f for f in mood_of(analysis).feelings if f.sentence.turn in opening]
    if "cancellation" in tallies and tallies["cancellation"].said:
        return
    if any(_WANTS.search(s.folded) or s.question for s in analysis.customer if s.turn in opening):
        return
    good = [f for f in feelings if f.strength >= CLEAR]
    if sum(f.strength for f in good) < PRAISE or any(f.strength <= -3 or f.sarcastic for f in feelings):
        return
    for tally in tallies.values():
        if max((weight for weight, _ in tally.grounds), default=0) < PLAIN * DECAY:
            tally.score *= 0.5
    tallies["other"].said = True
    for feeling in good[:2]:
        tallies["other"].add(PRAISE, Ground(feeling.sentence, feeling.start, feeling.end))


def _prefer_the_specific(tallies: dict[str, _Tally]) -> None:
    """Payments nobody made are fraud although they are charges too; ending a contract stays that whatever is owed."""
    for specific, general in (
        ("fraud_security", ("billing", "account_access", "delivery", "order_change", "technical_issue")),
        ("cancellation", ("billing", "technical_issue", "order_change", "account_access", "information")),
        ("appointment_booking", ("information", "order_change", "delivery")),
    ):
        if specific in tallies and max((w for w, _ in tallies[specific].grounds), default=0) >= 4.5 * DECAY:
            for reason in general:
                if reason in tallies:
                    tallies[reason].score *= 0.6
    says_question = max((w for w, _ in tallies["information"].grounds), default=0) if "information" in tallies else 0
    if says_question >= SAYS_QUESTION * DECAY:
        for reason, tally in tallies.items():
            if reason != "information" and max((w for w, _ in tally.grounds), default=0) < PLAIN:
                tally.score *= 0.6
        return
    specific_best = max((t.score for r, t in tallies.items() if r not in ("information", "other")), default=0.0)
    if "information" in tallies and specific_best >= 4:
        tallies["information"].score *= 0.6

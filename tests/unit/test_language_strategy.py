"""Which language a call is taken to be in, and who hears it."""

import pytest

from domain.engine import EngineFamily
from domain.errors import NoEngineForLanguage
from services.language_strategy import choose
from tests.support.samples import engine, tenant

WHISPER = engine(name="whisper", kind="whisper", family=EngineFamily.TRANSCRIPTION, parameters={"languages": ["en"]})
DEEPGRAM = engine(name="deepgram", kind="deepgram", family=EngineFamily.TRANSCRIPTION, external=True)
ALL = (engine(), DEEPGRAM, WHISPER)


@pytest.mark.parametrize(
    ("given", "hint", "expected"),
    [
        (tenant(transcription="whisper"), "en-GB", ("whisper", "en-GB", "hint")),
        (tenant(transcription="whisper", allowed_engines=("whisper", "deepgram")), "es", ("deepgram", "es", "hint")),
        (tenant(transcription="whisper"), None, ("whisper", "en", "configured")),
        (tenant(transcription="deepgram", languages=("en", "es")), None, ("deepgram", None, "detected")),
        (tenant(languages=("en", "es")), None, ("whisper", "en", "assumed: the tenant's first language")),
        (tenant(), "en", ("whisper", "en", "hint")),
        (tenant(transcription="deepgram"), "en", ("deepgram", "en", "hint")),
        (tenant(allowed_engines=("whisper",)), "en", ("whisper", "en", "hint")),
        (
            tenant(languages=("en", "de"), allowed_engines=("whisper",)),
            None,
            ("whisper", "en", "assumed: the tenant's first language"),
        ),
    ],
)
def test_the_choice_and_its_ground(given, hint, expected):
    choice = choose(given, hint, ALL)
    assert (choice.engine.name, choice.language, choice.ground) == expected


def test_audio_does_not_leave_by_accident():
    with pytest.raises(NoEngineForLanguage):
        choose(tenant(), "es", ALL)


def test_a_language_nobody_allowed_hears_is_said():
    with pytest.raises(NoEngineForLanguage):
        choose(tenant(allowed_engines=("whisper",)), "es", ALL)

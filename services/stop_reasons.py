"""Why a conversation is parked or failed, in words and with a remedy: for every code its status can carry."""

from domain import contracts
from domain.ledger import REASONS, Reason, ReasonText

_TEXTS: dict[str, ReasonText] = {
    contracts.SETTLING_REASON: ReasonText(
        words="The thread is given time to settle before it is analysed, so that a reply does not start it anew.",
        remedy="Wait, or send the thread as closed.",
    ),
    contracts.BACKPRESSURE_REASON: ReasonText(
        words="No worker was free within the time allowed.",
        remedy="Nothing: it is tried again by itself. If it lasts, add workers for this stage's task queue.",
    ),
    contracts.CANCELLED_REASON: ReasonText(words="Somebody cancelled the run.", remedy="Re-run the conversation."),
    contracts.LOST_REASON: ReasonText(
        words="The run ended without a conclusion.", remedy="Re-drive the dead letter; see the run in the Temporal UI."
    ),
    contracts.TIMEOUT_REASON: ReasonText(
        words="The stage did not end within its time, after all retries.", remedy="See the stage's runbook; re-drive."
    ),
    contracts.HEARTBEAT_REASON: ReasonText(
        words="The worker stopped reporting progress, after all retries.",
        remedy="Check the worker's memory and log; re-drive.",
    ),
    "undecodable_content": ReasonText(
        words="The content cannot be decoded.", remedy="Send it again in a readable form, with the same external id."
    ),
    "unsupported_media": ReasonText(
        words="The content is of a kind that is not read here.",
        remedy="Send it again as WAV, FLAC, MP3, M4A or OGG, with the same external id.",
    ),
    "too_large": ReasonText(
        words="The content is longer or larger than what is accepted.",
        remedy="Send it in parts, or ask the operator to raise the limit.",
    ),
    "invalid_input": ReasonText(words="The content is not valid.", remedy="Correct it and send it again."),
    "content_missing": ReasonText(
        words="The raw content is gone.", remedy="Send the conversation again, with the same external id."
    ),
    "content_damaged": ReasonText(
        words="The raw content does not decrypt or does not match its hash.",
        remedy="Restore the content store, then re-drive; or send the conversation again.",
    ),
    "no_engine_for_language": ReasonText(
        words="No transcription engine the tenant may use hears the language of the call.",
        remedy="Choose one that does (`parley tenants set`), or send the call's language; re-run from ingest.",
    ),
    "engine_quota_exhausted": REASONS[Reason.ENGINE_QUOTA],
    "engine_rate_limited": ReasonText(
        words="The engine limits the rate, after all retries.", remedy="Nothing: it is tried again by itself."
    ),
    "engine_refused": REASONS[Reason.ANSWER_REFUSED],
    "engine_answer_truncated": REASONS[Reason.ANSWER_TRUNCATED],
    "engine_answer_empty": REASONS[Reason.ANSWER_EMPTY],
    "engine_answer_malformed": REASONS[Reason.ANSWER_MALFORMED],
    "limit_exceeded": REASONS[Reason.BUDGET_EXHAUSTED],
    "unavailable": ReasonText(
        words="A part of the service did not answer, after all retries.",
        remedy="Check the service with `parley doctor`, then re-drive.",
    ),
}


def text_of(code: str) -> ReasonText:
    """Words and remedy of a status reason; a code without words of its own is shown as it is."""
    if code in _TEXTS:
        return _TEXTS[code]
    try:
        return REASONS[Reason(code)]
    except ValueError:
        return ReasonText(words=f"It stopped with {code}.", remedy="See the dead letter, then re-drive it.")

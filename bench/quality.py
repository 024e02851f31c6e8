"""The figures about answers rather than speed: `wer`, `wer_over_bare`, and agreement with labels, field by field."""

from typing import Any, cast

from bench import agreement as labelled
from bench import wer as recognition
from bench.measure import Measurement


async def wer() -> list[Measurement]:
    """Raises FileNotFoundError without the sample data."""
    report = await recognition.measure()
    detail = cast("dict[str, Any]", recognition.as_json(report))
    return [
        Measurement(
            "wer",
            report.chain.wer,
            "%",
            aim=recognition.AIM_WER,
            direction="≤",
            note=f"{report.chain.words} words of real calls, {detail['model']}",
            detail=detail,
        ),
        Measurement(
            "wer_over_bare",
            report.over_bare,
            "points",
            aim=recognition.AIM_OVER_BARE,
            direction="≤",
            note=f"the bare engine alone: {report.bare.wer:.1f} %",
        ),
    ]


async def agreement() -> list[Measurement]:
    """Percent of the labelled conversations whose value agrees with the label; one figure a field and kind of case.

    Of the cases that rules are made with, the detail lists what differs; of the held-out ones nobody should know it.
    """
    seen = await labelled.measure()
    details = labelled.as_json(seen)
    held_out = await labelled.measure([labelled.HELD_OUT])
    return [
        *(_share(f"agreement.{f.field}", f, details[f.field]) for f in seen),
        *(_share(f"agreement.held_out.{f.field}", f, {}) for f in held_out),
    ]


def _share(name: str, field: labelled.FieldAgreement, detail: dict[str, Any]) -> Measurement:
    note = f"{field.agreed} of {field.judged}; of {field.known} values given {100 * field.precision:.0f} % agree"
    return Measurement(name, 100 * field.share, "%", note=note, detail=detail)

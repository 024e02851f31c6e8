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
    """Percent of the labelled conversations whose value agrees with the label; one figure a field."""
    fields = await labelled.measure()
    details = labelled.as_json(fields)
    return [
        Measurement(
            f"agreement.{f.field}",
            100 * f.share,
            "%",
            note=f"{f.agreed} of {f.judged}; of {f.known} values given {100 * f.precision:.0f} % agree",
            detail=details[f.field],
        )
        for f in fields
    ]

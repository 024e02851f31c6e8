"""Where the marks of a chart stand: numbers into places of a picture, nothing else. The templates draw them as SVG.

Widths are in units of a picture WIDTH wide; y runs downwards, as in SVG.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 320.0
HEIGHT = 72.0
COLOURS = 8
"""How many classes of colour there are for options; they begin anew after that."""


@dataclass(frozen=True)
class Mark:
    """A rectangle. `part`: number of the part it stands for, `step`: of the point in time."""

    x: float
    y: float
    width: float
    height: float
    part: int
    step: int


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    value: float
    step: int


@dataclass(frozen=True)
class Line:
    """dots: where there is a value. runs: stretches without a gap, each as `x,y x,y …`. low and high: of the scale."""

    dots: tuple[Dot, ...]
    runs: tuple[str, ...]
    low: float
    high: float


@dataclass(frozen=True)
class Columns:
    """marks: stacked from the bottom. slots: the whole height of each step, to point at. most: what the height is."""

    marks: tuple[Mark, ...]
    slots: tuple[Mark, ...]
    most: int


def shares(counts: Sequence[int], width: float = 100.0) -> tuple[Mark, ...]:
    """One bar cut in proportion; nothing for what counts nothing, and never a sliver too thin to see."""
    total = sum(counts)
    if not total:
        return ()
    least = min(1.5, width / max(1, len(counts)))
    wanted = [max(least, width * n / total) if n else 0.0 for n in counts]
    scale = width / sum(wanted)
    marks, x = [], 0.0
    for part, length in enumerate(wanted):
        if length:
            marks.append(Mark(round(x, 2), 0.0, round(length * scale, 2), 1.0, part, 0))
            x += length * scale
    return tuple(marks)


def columns(stacks: Sequence[Sequence[int]]) -> Columns:
    """One column a step, its parts on top of each other."""
    most = max((sum(stack) for stack in stacks), default=0)
    slot = WIDTH / max(1, len(stacks))
    thick = max(1.0, min(28.0, slot * 0.72))
    marks, slots = [], []
    for step, stack in enumerate(stacks):
        x = slot * step + (slot - thick) / 2
        slots.append(Mark(round(slot * step, 2), 0.0, round(slot, 2), HEIGHT, 0, step))
        y = HEIGHT
        for part, n in enumerate(stack):
            height = HEIGHT * n / most if most else 0.0
            if n:
                y -= height
                marks.append(Mark(round(x, 2), round(y, 2), round(thick, 2), round(height, 2), part, step))
    return Columns(tuple(marks), tuple(slots), most)


def line(values: Sequence[float | None], low: float | None, high: float | None) -> Line:
    """A line through what is known, on a scale from `low` to `high`; open ends follow the values."""
    known = [value for value in values if value is not None]
    bottom = low if low is not None else min(known, default=0.0)
    top = high if high is not None else max(known, default=1.0)
    if top <= bottom:
        top = bottom + 1.0
    slot = WIDTH / max(1, len(values))
    dots, runs, run = [], [], list[str]()
    for step, value in enumerate(values):
        if value is None:
            runs.append(run)
            run = []
            continue
        inside = min(max(value, bottom), top)
        x = round(slot * (step + 0.5), 2)
        y = round(4 + (HEIGHT - 8) * (1 - (inside - bottom) / (top - bottom)), 2)
        dots.append(Dot(x, y, value, step))
        run.append(f"{x},{y}")
    runs.append(run)
    return Line(tuple(dots), tuple(" ".join(r) for r in runs if len(r) > 1), bottom, top)

"""`python -m bench [SECTION …]`: measures, writes `.parley/bench.json` and prints a table. Without sections: all.

Every section that needs servers gets fresh ones of its own. Aims that are missed are printed as missed; that is no
failure. Exit code 1 when a section could not measure.
"""

import argparse
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.console import Console

from bench import accept, cpu, flat_cost, freshness, imports, many_values, pipeline, quality, utilisation
from bench.ground import Ground, ground
from bench.measure import Measurement, hardware, show, write
from domain.errors import ParleyError
from infra.temporal.process import run_to_end

Section = Callable[[], Awaitable[list[Measurement]]]


def on_ground(measure: Callable[[Ground], Awaitable[list[Measurement]]]) -> Section:
    """The section on servers of its own."""

    async def measured() -> list[Measurement]:
        async with ground() as fresh:
            return await measure(fresh)

    return measured


SECTIONS: dict[str, Section] = {
    "pipeline": on_ground(pipeline.measure),
    "events": on_ground(pipeline.measure_events),
    "accept": on_ground(accept.measure),
    "imports": on_ground(imports.measure),
    "cpu": on_ground(cpu.measure),
    "freshness": on_ground(freshness.measure),
    "utilisation": on_ground(utilisation.measure),
    "many-values": on_ground(many_values.measure),
    "wer": quality.wer,
    "agreement": quality.agreement,
    "cost": flat_cost.measure,
}


def chosen(names: Sequence[str]) -> list[str]:
    """The sections to run, each once, in the order above. `pipeline` counts the events as well."""
    wanted = [name for name in SECTIONS if not names or name in names]
    return [name for name in wanted if not (name == "events" and "pipeline" in wanted)]


async def run(names: Sequence[str], console: Console) -> tuple[list[Measurement], dict[str, str], bool]:
    """(figures, sections without figures and why, whether one of those failed)."""
    found: list[Measurement] = []
    missing: dict[str, str] = {}
    failed = False
    for name in chosen(names):
        began = time.monotonic()
        with console.status(f"measuring {name}"):
            try:
                found += await SECTIONS[name]()
            except FileNotFoundError as error:
                missing[name] = str(error)
            except ParleyError as error:
                missing[name], failed = error.message, True
        console.print(f"{name}: {time.monotonic() - began:.0f} s", style="dim", highlight=False)
    return found, missing, failed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"any of {', '.join(SECTIONS)}; default: all")
    parser.add_argument("--json", type=Path, default=Path(".parley/bench.json"), metavar="FILE")
    options = parser.parse_args(arguments)
    if unknown := set(options.sections) - SECTIONS.keys():
        parser.error(f"there is no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    machine = hardware()
    console = Console(stderr=True)
    found, missing, failed = run_to_end(run(options.sections, console))
    write(options.json, found, machine, missing)
    show(Console(width=None if sys.stdout.isatty() else 160), found, machine, missing)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

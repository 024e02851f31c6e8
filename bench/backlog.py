"""A process with a backlog of questions for one engine, asked as workers ask: through the process's engines, with their
limits, breakers and adapters, as many at once as a worker has slots, until it is stopped.

    python -m bench.backlog ENGINE
"""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

from domain.conversation import Role
from domain.errors import EngineError
from domain.fields import answer_schema
from domain.starter import CSAT
from domain.turns import Turn
from engines.protocols import AnswerRequest, AskedTask
from infra.settings import load_settings
from infra.wiring import build_engines, open_storage
from storage.postgres.provisioning import OPERATOR

AT_ONCE = 32
SYSTEM = "Fill the field from the conversation. Answer with JSON."
WORDS = ("my", "order", "has", "not", "arrived", "and", "nobody", "answers", "the", "phone", "since", "monday")


async def main(name: str) -> None:
    settings = load_settings()
    chance = random.Random(os.getpid())
    async with open_storage(settings, "bench backlog") as storage:
        config = next(e for e in await storage.database.platform.engines_of(OPERATOR) if e.name == name)
        engine = build_engines(settings, storage).language_model(config)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

        async def some() -> None:
            while True:
                try:
                    await engine.answer(question(chance), lambda share: None)
                except EngineError as error:
                    sys.stderr.write(f"{error.code}\n")

        asking = [asyncio.create_task(some()) for _ in range(AT_ONCE)]
        Path(os.environ["PARLEY_READY_FILE"]).touch()
        await stop.wait()
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


def question(chance: random.Random) -> AnswerRequest:
    """A short conversation; with it a request takes 100 to 250 tokens, 180 on average, so that both limits are near."""
    turns = tuple(
        Turn(number=n, role=Role.CUSTOMER, participant_id="c", text=" ".join(chance.choices(WORDS, k=6)))
        for n in range(1, chance.randint(1, 7) + 1)
    )
    return AnswerRequest(
        system=SYSTEM,
        schema=answer_schema((CSAT,)),
        turns=turns,
        tasks=(AskedTask(name="csat", prompt="How satisfied?", fields=(CSAT,)),),
        max_output_tokens=200,
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

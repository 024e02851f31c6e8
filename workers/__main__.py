"""`python -m workers ROLE…`: one worker process with the roles of `temporal-config/workers.toml`.

Exit code 0 after an orderly stop, 2 for a configuration that is not valid, 1 for anything else.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from functools import partial

from domain.errors import ParleyError
from infra.logs import configure_logs
from infra.settings import ConfigurationError, Settings, load_settings
from infra.telemetry.setup import start_tracing
from infra.temporal.process import run_to_end
from workers.process import process_name, serve
from workers.roles import RolesError, RoleSpec, choose, load_roles
from workers.wiring import open_wiring


def main() -> int:
    """Parses the roles and serves them."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("roles", nargs="+", metavar="ROLE", help="a role of temporal-config/workers.toml")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        configure_logs(settings)
        roles = choose(load_roles(settings.config_dir), arguments.roles)
        run_to_end(_serve(settings, roles))
    except (ConfigurationError, RolesError) as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    except ParleyError as error:
        logging.getLogger("workers").error("%s: %s", error.code, error.message)
        return 1
    return 0


async def _serve(settings: Settings, roles: Sequence[RoleSpec]) -> None:
    tracing = start_tracing(settings, process_name(roles))
    try:
        await serve(settings, roles, partial(open_wiring, tracing=tracing), tracing)
    finally:
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


if __name__ == "__main__":
    sys.exit(main())

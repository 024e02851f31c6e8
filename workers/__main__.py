"""`python -m workers ROLE…`: one worker process with the roles of `temporal-config/workers.toml`.

Exit code 0 after an orderly stop, 2 for a configuration that is not valid, 1 for anything else.
"""

import argparse
import logging
import sys

from domain.errors import ParleyError
from infra.logs import configure_logs
from infra.settings import ConfigurationError, load_settings
from infra.temporal.process import run_to_end
from workers.process import serve
from workers.roles import RolesError, choose, load_roles
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
        run_to_end(serve(settings, roles, open_wiring))
    except (ConfigurationError, RolesError) as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    except ParleyError as error:
        logging.getLogger("workers").error("%s: %s", error.code, error.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Brings the database up to date: the schema, then what ships with the product (`python -m infra.migrate`).

Safe to run twice and from several processes at once.
"""

import asyncio
import sys

from domain.errors import ParleyError
from services import starter_library
from storage.migrate import migrate, owner_url
from storage.postgres.provisioning import Provisioning


async def install_library(url: str) -> None:
    """Starter fields, tasks and engines at the operator's level; on for nobody. `url` is the owner's."""
    async with Provisioning.connect(url) as provisioning, provisioning.configuration() as configuration:
        await starter_library.install(configuration)


def bring_up_to_date(url: str) -> str:
    """The revision the schema is at afterwards. Raises Unavailable, MigrationFailed."""
    revision = migrate(url)
    asyncio.run(install_library(url))
    return revision


def main() -> int:
    """Exit code 0 when the database is up to date."""
    try:
        revision = bring_up_to_date(owner_url())
    except ParleyError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    sys.stdout.write(f"the database is at revision {revision}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

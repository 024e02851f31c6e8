"""Starts imports that should be worked on and are not: Temporal was away, or lost their runs."""

import logging
from collections.abc import Callable

from domain.contracts import ImportRef
from domain.errors import Unavailable
from services.ports import ImportStarter
from storage.protocols import Database

MOST = 50
FRESH_SECONDS = 3.0
"""What the accepting process gets to start an import itself."""

SILENT_SECONDS = 300.0
"""An import that runs is heard of with every batch, and every two minutes at least while it waits."""

_log = logging.getLogger(__name__)


class ImportStarts:
    """Needs the database and who starts workflows."""

    def __init__(self, database: Database, starter: ImportStarter) -> None:
        self._database = database
        self._starter = starter

    async def round(
        self,
        progress: Callable[[], None] = lambda: None,
        *,
        fresh_seconds: float = FRESH_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
    ) -> int:
        """One bounded round; how many were started. Starting one that runs does nothing. Raises Unavailable."""
        due = await self._database.platform.due_imports(
            MOST, fresh_seconds=fresh_seconds, silent_seconds=silent_seconds
        )
        return sum([await self._start(ref, progress) for ref in due])

    async def _start(self, ref: ImportRef, progress: Callable[[], None]) -> bool:
        try:
            async with self._database.tenant_tx(ref.tenant_id) as tx:
                found = await tx.imports.locked(ref.import_id)
                if found.entry != ref.entry or not found.state.is_open:
                    return False
                await tx.imports.save(found)  # to the end of the line
            await self._starter.start_import(ref, found)
        except Unavailable:
            raise
        except Exception as error:  # one that cannot be started must not stop the others
            _log.warning("import %s is left for later: %s", ref.import_id, type(error).__name__)
            return False
        finally:
            progress()
        return True

"""import_rows: a stretch of an import's rows; conclude_import: how an import ended that was not read to its end."""

from temporalio import activity

from domain import contracts
from domain.contracts import ConcludeImportRequest, ConcludeImportResult, ImportRowsRequest, ImportRowsResult
from services.conclude_import import conclude_import
from services.import_rows import ImportRows
from storage.protocols import Database


class ImportRowsActivity:
    """Needs what reads and accepts rows."""

    def __init__(self, rows: ImportRows) -> None:
        self._rows = rows

    @activity.defn(name=contracts.IMPORT_ROWS.name)
    async def import_rows(self, request: ImportRowsRequest) -> ImportRowsResult:
        return await self._rows.stretch(request, beat=activity.heartbeat, stopping=activity.is_worker_shutdown)


class ConcludeImportActivity:
    """Needs the database only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=contracts.CONCLUDE_IMPORT.name)
    async def conclude_import(self, request: ConcludeImportRequest) -> ConcludeImportResult:
        return ConcludeImportResult(concluded=await conclude_import(self._database, request))

"""What a tenant's conversations come to."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.deps import Reader, Services
from api.schemas.dashboard import DashboardOut
from domain.conversation import Channel
from domain.rollups import Dimension
from services.dashboard import MAX_VALUES, DashboardRequest

router = APIRouter(prefix="/v1/dashboard", tags=["dashboard"])

Value = Annotated[str, StringConstraints(max_length=200)]
Values = Annotated[list[Value], Field(max_length=MAX_VALUES)]


class DashboardQuery(BaseModel):
    """A parameter that is given several times stands for any of its values; an empty one for conversations without."""

    model_config = ConfigDict(extra="forbid")

    first: date | None = Field(default=None, alias="from", description="A day in the tenant's zone.")
    last: date | None = Field(default=None, alias="to", description="Part of the range. Today unless given.")
    channel: Annotated[list[Channel], Field(max_length=MAX_VALUES)] = []
    source: Values = []
    queue: Values = []
    team: Values = []
    language: Values = []

    def request(self) -> DashboardRequest:
        given = {dimension: tuple(map(str, getattr(self, dimension.value))) for dimension in Dimension}
        return DashboardRequest(
            first=self.first, last=self.last, narrowing={name: values for name, values in given.items() if values}
        )


@router.get("", response_model=DashboardOut)
async def read_dashboard(caller: Reader, services: Services, query: Annotated[DashboardQuery, Query()]) -> DashboardOut:
    """Per Custom Field the average or the distribution, known and unknown values, and the trend; conversations by
    channel and status. The last 30 days unless a range is given; days are the tenant's."""
    found = await services.dashboard.read(caller.tenant_id, query.request(), sensitive=caller.operates)
    return DashboardOut.of(found)

"""Search results."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.common import Out
from api.schemas.conversations import ConversationRow
from domain.conversation import Role
from domain.strict_json import validate
from services.search import SearchRequest, SearchResult


class SearchQueryIn(BaseModel):
    """The query parameters of `GET /v1/search`."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(default="", max_length=1000, description='Words, "quoted phrases", -without.')
    where: str | None = Field(default=None, max_length=20_000, examples=["channel = call and csat < 3"])
    facets: str | None = Field(default=None, max_length=2000, description="Names to count values of, with commas.")
    sort: str | None = Field(default=None, max_length=100, examples=["-started"])
    limit: int = Field(default=20, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=2000)
    unfinished: bool = Field(default=False, description="The last word may go on: search as you type.")
    highlight: bool = True

    def request(self) -> SearchRequest:
        """The same as the body of the POST. Raises InvalidInput."""
        names = tuple(name.strip() for name in (self.facets or "").split(",") if name.strip())
        return validate(SearchRequest, {**self.model_dump(exclude={"facets"}), "facets": names})


class SpanOut(Out):
    """Character offsets in the fragment's text; `end` is behind the last one."""

    start: int
    end: int


class FragmentOut(Out):
    """A piece of one redacted turn with the words found in `spans`. offset: where the piece begins in the turn."""

    turn: int
    role: Role
    at: datetime | None
    start_ms: int | None
    offset: int
    text: str
    spans: list[SpanOut]


class HitOut(Out):
    """score: how well the words fit, for the order of this page only. partial: only its first words are searched."""

    conversation: ConversationRow
    score: float | None
    fragments: list[FragmentOut]
    partial: bool


class CountedOut(Out):
    value: str | float | bool
    count: int


class FacetOut(Out):
    name: str
    values: list[CountedOut]


class SearchOut(Out):
    """One page. total and facets come with the first one only."""

    items: list[HitOut]
    total: int | None
    total_is_estimate: bool
    facets: list[FacetOut]
    next_cursor: str | None
    notes: list[str] = Field(description="What the search did not do as asked, in words.")
    backend: str

    @classmethod
    def of(cls, result: SearchResult) -> "SearchOut":
        return cls(
            items=[
                HitOut(
                    conversation=ConversationRow.of(hit.conversation),
                    score=hit.score,
                    fragments=[FragmentOut.model_validate(fragment.model_dump()) for fragment in hit.fragments],
                    partial=hit.partial,
                )
                for hit in result.hits
            ],
            total=result.total,
            total_is_estimate=result.total_is_estimate,
            facets=[FacetOut.model_validate(facet.model_dump()) for facet in result.facets],
            next_cursor=result.next_cursor,
            notes=list(result.notes),
            backend=result.backend,
        )

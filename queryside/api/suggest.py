"""What may be meant, while it is being typed: GET /v1/suggest."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from queryside.api.freshness import fresh
from queryside.api.parameters import only
from queryside.api.problems import problems
from queryside.api.search import Text
from queryside.search.engine import SUGGESTIONS_COUNT, SearchEngine
from queryside.search.query import MAX_TEXT_LENGTH

router = APIRouter(tags=["search"])


class Suggestions(BaseModel):
    suggestions: Annotated[
        list[str],
        Field(max_length=SUGGESTIONS_COUNT, description="titles, brands and categories; what sold most comes first"),
    ]


@router.get(
    "/v1/suggest",
    responses=problems(422, 503),
    dependencies=[Depends(only("q")), Depends(fresh("search"))],
)
async def suggest(
    request: Request,
    q: Annotated[Text, Query(max_length=MAX_TEXT_LENGTH, description="what is typed so far")] = "",
) -> Suggestions:
    """Each word is taken for the beginning of one, or of one that is spelt nearly so. Nothing typed: no suggestions."""
    engine: SearchEngine = request.app.state.search
    text = q.strip()
    return Suggestions(suggestions=list(await engine.suggest(text)) if text else [])

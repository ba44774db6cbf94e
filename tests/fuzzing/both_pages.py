"""Both OpenAPI pages as one, so that a scenario can go from an answer of the one API to a question of the other."""

from __future__ import annotations

import json
from typing import Any, Final

import httpx

from tests.e2e.running_shop import RunningShop

PAGE_TIMEOUT_SECONDS: Final = 10.0
_SCHEMAS: Final = "#/components/schemas/"


def both_pages(shop: RunningShop) -> tuple[dict[str, Any], frozenset[str]]:
    """The page, without what only operations ask; and the names of what the query API answers (`GET /v1/cart`)."""
    command, query = _page(shop.command_url), _page(shop.query_url)
    # Two shapes may have one name on two pages.
    query = json.loads(json.dumps(query).replace(_SCHEMAS, f"{_SCHEMAS}Query"))
    # A link to the other page is now one to another place of this page.
    page: dict[str, Any] = json.loads(json.dumps(command).replace(f"{shop.query_url}/openapi.json#", "#"))
    asked_there = set()
    for path, item in query["paths"].items():
        if path.startswith("/v1/"):
            page["paths"].setdefault(path, {}).update(item)
            asked_there |= {f"{method.upper()} {path}" for method in item}
    page["paths"] = {path: item for path, item in page["paths"].items() if path.startswith("/v1/")}
    page["components"]["schemas"] |= {f"Query{name}": shape for name, shape in query["components"]["schemas"].items()}
    return page, frozenset(asked_there)


def _page(url: str) -> dict[str, Any]:
    answer = httpx.get(f"{url}/openapi.json", trust_env=False, timeout=PAGE_TIMEOUT_SECONDS)
    page: dict[str, Any] = answer.raise_for_status().json()
    return page

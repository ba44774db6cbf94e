from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from projections.search import open_search_projection
from queryside.api import search, suggest
from queryside.errors import NotThereInTime, QueryError
from queryside.search.postgres import open_postgres_search
from queryside.search.result import SearchResult
from tests.fixtures.ports import free_port
from tests.integration.search.small_shop import small_shop


class Freshness:
    """Has come to position 5 of the search projection."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def position_elsewhere(self, projection: str, at_least: int) -> None:
        self.asked.append((projection, at_least))
        if at_least > 5:
            raise NotThereInTime("not yet")


def app_on(engine: object) -> FastAPI:
    app = FastAPI()
    app.include_router(search.router)
    app.include_router(suggest.router)
    app.state.search = engine
    app.state.freshness = Freshness()

    @app.exception_handler(QueryError)
    async def problem(_: Request, error: QueryError) -> JSONResponse:
        retry = {"Retry-After": str(error.retry_after_seconds)} if error.retry_after_seconds else None
        return JSONResponse({"type": f"/problems/{error.slug}"}, error.status, headers=retry)

    return app


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://query", timeout=10)


@pytest.fixture(scope="module")
def shop_url(module_database_url: str) -> str:
    async def fill() -> None:
        shop = small_shop()
        shop.add("slash", "Odd one", category=["24/7", "~Odd"])
        async with open_search_projection(module_database_url, shop) as projection:
            await projection.apply(shop.history, shop.position)

    asyncio.run(fill())
    return module_database_url


@pytest.fixture
async def app(shop_url: str) -> AsyncIterator[FastAPI]:
    async with open_postgres_search(shop_url) as engine:
        yield app_on(engine)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


async def get(client: httpx.AsyncClient, url: str, **parameters: Any) -> Any:
    response = await client.get(url, params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


async def found(client: httpx.AsyncClient, url: str = "/v1/search", **parameters: Any) -> set[str]:
    return {product["product_id"] for product in (await get(client, url, **parameters))["products"]}


async def test_the_answer_has_the_members_of_the_contract(client: httpx.AsyncClient) -> None:
    answer = await get(client, "/v1/search", q="red lamp")
    assert list(answer) == ["products", "facets", "total", "next_cursor", "engine"]
    assert list(answer["facets"]) == ["categories", "brands", "price_ranges", "ratings"]
    assert answer["engine"] == "postgres"
    assert answer["total"] == 1
    assert answer["next_cursor"] is None
    assert answer["products"][0]["availability"] == {"status": "in_stock", "quantity": 10}
    SearchResult.model_validate_json((await client.get("/v1/search")).content)


async def test_a_correction_is_told(client: httpx.AsyncClient) -> None:
    assert (await get(client, "/v1/search", q="vintge"))["corrected_query"] == "vintage"


async def test_every_parameter_does_what_it_says(client: httpx.AsyncClient) -> None:
    assert await found(client, q="lamp", brand=["Lumen", "Relic"]) == {"lamp-red", "lamp-blue", "lamp-old"}
    assert await found(client, category="Home/Lamps", price_min=2500, price_max=3500) == {"lamp-red", "lamp-blue"}
    assert await found(client, min_rating="4.5", in_stock="true") == {"lamp-red"}
    assert await found(client, category="24~17/~0Odd") == {"slash"}
    assert len(await found(client, q="  ")) == 7
    assert len(await found(client, limit=100, in_stock="false")) == 7
    cheapest = await get(client, "/v1/search", sort="price_asc", limit=1)
    assert cheapest["products"][0]["product_id"] == "wrap"
    after = await get(client, "/v1/search", sort="price_asc", limit=1, cursor=cheapest["next_cursor"])
    assert after["products"][0]["product_id"] == "mug"


@pytest.mark.parametrize(
    "parameters",
    [
        {"q": "x" * 201},
        {"q": "x" * 10_000},
        {"q": "a\x00b"},
        {"brand": "a\x00b"},
        {"brand": ["b"] * 21},
        {"brand": "b" * 201},
        {"category": "a\x00b"},
        {"category": "Home//Lamps"},
        {"category": "/"},
        {"category": "Home/"},
        {"category": "a~2"},
        {"category": "/".join(["a"] * 21)},
        {"category": "a" * 2001},
        {"price_min": -1},
        {"price_min": 2**53 + 1},
        {"price_max": 10**400},
        {"price_max": "1.5"},
        {"price_min": "cheap"},
        {"price_min": " "},
        {"price_min": 2, "price_max": 1},
        {"min_rating": -0.1},
        {"min_rating": 5.1},
        {"min_rating": "NaN"},
        {"min_rating": "Infinity"},
        {"min_rating": "1e5000"},
        {"in_stock": "maybe"},
        {"sort": "random"},
        {"limit": 0},
        {"limit": 101},
        {"limit": "many"},
        {"cursor": "garbage"},
        {"cursor": "x" * 5000},
        {"cursor": "\x00"},
        {"page": 2},
        {"page": ""},
        {"sort": ["", ""]},
        {"Q": "lamp"},
        {"limit": [1, 2]},
        {"q": ["lamp", "chair"]},
    ],
)
async def test_what_cannot_be_is_refused(client: httpx.AsyncClient, parameters: dict[str, Any]) -> None:
    response = await client.get("/v1/search", params=parameters)
    assert response.status_code == 422
    if "category" not in parameters:
        assert (await client.get("/v1/categories/Home", params=parameters)).status_code == 422


EMPTY = "q=&brand=&price_min=&price_max=&min_rating=&in_stock=&sort=&limit=&cursor="


@pytest.mark.parametrize(("url", "query"), [("/v1/search", f"category=&{EMPTY}"), ("/v1/categories/Home", EMPTY)])
async def test_a_parameter_without_a_value_is_as_good_as_none(client: httpx.AsyncClient, url: str, query: str) -> None:
    everything = await get(client, url)
    assert len(everything["products"]) > 1
    alone = query.split("&")
    for given in [query, *alone, *(parameter.rstrip("=") for parameter in alone)]:
        answer = await client.get(f"{url}?{given}")  # as it stands here: given `params`, httpx drops what is in the URL
        assert (answer.status_code, answer.json()) == (200, everything), given
    assert await found(client, url, brand=["", "Lumen"]) == await found(client, url, brand="Lumen")


@pytest.mark.parametrize(
    "query", ["q=%FF%FE", "q=%ED%A0%80", "q=%F0%9F%94%A5", "brand=%FF", "category=%FF", "q=%", "&&&", "q"]
)
async def test_odd_bytes_find_nothing_or_are_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/v1/search?{query}")).status_code in {200, 422}


async def test_the_tree_of_categories(client: httpx.AsyncClient) -> None:
    answer = await get(client, "/v1/categories")
    assert answer["categories"][1] == {
        "name": "Home",
        "path": "Home",
        "count": 4,
        "children": [
            {"name": "Furniture", "path": "Home/Furniture", "count": 1, "children": []},
            {"name": "Lamps", "path": "Home/Lamps", "count": 3, "children": []},
        ],
    }
    assert (await client.get("/v1/categories?depth=1")).status_code == 422


async def test_every_path_of_the_tree_is_a_category_with_so_many_products(client: httpx.AsyncClient) -> None:
    nodes = list((await get(client, "/v1/categories"))["categories"])
    seen = set()
    while nodes:
        node = nodes.pop()
        seen.add(node["path"])
        nodes += node["children"]
        assert (await get(client, f"/v1/categories/{node['path']}"))["total"] == node["count"]
        assert (await get(client, "/v1/search", category=node["path"]))["total"] == node["count"]
    assert "24~17/~0Odd" in seen


async def test_a_category_is_narrowed_and_paged_like_a_search(client: httpx.AsyncClient) -> None:
    assert await found(client, "/v1/categories/Home/Lamps", brand="Lumen", q="red") == {"lamp-red"}
    assert await found(client, "/v1/categories/Home/Lamps", brand="No such") == set()
    first = await get(client, "/v1/categories/Home", limit=3, sort="newest")
    second = await get(client, "/v1/categories/Home", limit=3, sort="newest", cursor=first["next_cursor"])
    assert [product["product_id"] for product in first["products"] + second["products"]] == [
        "chair-red", "lamp-old", "lamp-blue", "lamp-red"
    ]  # fmt: skip
    assert (await client.get("/v1/categories/Kitchen", params={"cursor": first["next_cursor"]})).status_code == 422


@pytest.mark.parametrize(
    "path", ["Attic", "Home/Lamps/Old", "home", "Home//Lamps", "Home/", "~", "a~2", "%00", "%FF", "a/" * 30]
)
async def test_a_category_that_is_not_there(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(f"/v1/categories/{path}")
    assert response.status_code == 404
    assert response.json() == {"type": "/problems/not-found"}


async def test_a_category_takes_no_other_category(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/categories/Home?category=Kitchen")).status_code == 422


@pytest.mark.parametrize("url", ["/v1/search", "/v1/categories", "/v1/categories/Home"])
async def test_waits_for_the_position_that_the_caller_knows(app: FastAPI, client: httpx.AsyncClient, url: str) -> None:
    assert (await client.get(url, headers={"Min-Position": "5"})).status_code == 200
    assert (await client.get(url, headers={"Min-Position": "6"})).status_code == 503
    assert (await client.get(url, headers={"Min-Position": "six"})).status_code == 422
    assert app.state.freshness.asked == [("search", 5), ("search", 6)]


@pytest.mark.parametrize("url", ["/v1/search", "/v1/categories", "/v1/categories/Home"])
async def test_says_when_to_try_again_while_postgres_is_down(url: str) -> None:
    nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/none?connect_timeout=1"
    async with open_postgres_search(nowhere, wait_timeout_seconds=0.2) as engine, client_of(app_on(engine)) as client:
        response = await client.get(url)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert response.json() == {"type": "/problems/search-unavailable"}


async def test_goes_on_after_its_connections_were_cut(shop_url: str, client: httpx.AsyncClient) -> None:
    assert len(await found(client)) == 7
    with psycopg.connect(shop_url, autocommit=True) as connection:
        cut = connection.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert cut is not None
    assert cut[0] > 0
    assert len(await found(client)) == 7


async def test_a_search_that_takes_too_long_is_given_up(shop_url: str) -> None:
    async with open_postgres_search(shop_url, statement_timeout_seconds=0.001) as engine:
        app = app_on(engine)
        async with client_of(app) as client:
            statuses = {(await client.get("/v1/search", params={"q": "red or lamp"})).status_code for _ in range(20)}
    assert 503 in statuses
    assert statuses <= {200, 503}


def test_the_openapi_page_says_it_all() -> None:
    page = app_on(None).openapi()
    for path, statuses in {
        "/v1/search": {"200", "401", "422", "503"},
        "/v1/categories": {"200", "401", "422", "503"},
        "/v1/categories/{path}": {"200", "401", "404", "422", "503"},
    }.items():
        operation = page["paths"][path]["get"]
        assert set(operation["responses"]) == statuses
        for status in statuses - {"200"}:
            assert list(operation["responses"][status]["content"]) == ["application/problem+json"]
    named = {parameter["name"] for parameter in page["paths"]["/v1/search"]["get"]["parameters"]}
    assert named == {
        "q", "category", "brand", "price_min", "price_max", "min_rating", "in_stock", "sort", "limit", "cursor",
        "Min-Position",
    }  # fmt: skip
    assert {"corrected_query", "engine", "facets"} <= set(page["components"]["schemas"]["SearchResult"]["properties"])


async def test_suggestions_while_typing(client: httpx.AsyncClient) -> None:
    assert await get(client, "/v1/suggest", q=" vintge ") == {"suggestions": ["Vintage lantern"]}
    for nothing in ({}, {"q": ""}, {"q": "  "}):
        assert await get(client, "/v1/suggest", **nothing) == {"suggestions": []}


@pytest.mark.parametrize("query", ["q=a&q=b", "q=%00", f"q={'x' * 201}", "limit=3"])
async def test_what_cannot_be_typed_is_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/v1/suggest?{query}")).status_code == 422


async def test_suggestions_wait_for_the_position_that_the_caller_knows(app: FastAPI, client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/suggest?q=l", headers={"Min-Position": "6"})).status_code == 503
    assert app.state.freshness.asked == [("search", 6)]

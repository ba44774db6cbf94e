"""Requests are counted under the route they came to, and never under what a client made up."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil.http.doors import Measured
from tests.unit.http.apis import browser

Counted = Counter[tuple[str, str]]


async def counted(client: httpx.AsyncClient) -> Counted:
    """How many requests there were, by method and route."""
    found: Counted = Counter()
    for family in text_string_to_metric_families((await client.get("/metrics")).text):
        for sample in family.samples:
            if sample.name == "counterfoil_http_requests_total":
                found[sample.labels["method"], sample.labels["route"]] += int(sample.value)
    return found


def operations(app: FastAPI) -> Sequence[tuple[str, str]]:
    """Method and path of every route: those on the OpenAPI page, and the plain ones, such as that page itself."""
    documented = [(method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item]
    plain = [(method, r.path_format) for r in app.routes if isinstance(r, Route) for method in sorted(r.methods or ())]
    return list(dict.fromkeys([*documented, *plain]))


async def test_every_route_is_counted_under_its_own_path(app: FastAPI) -> None:
    routes = operations(app)
    assert len(routes) > 10
    async with browser(app) as client:
        for method, path in routes:
            before = await counted(client)
            answer = await client.request(method, re.sub(r"\{[^}]*\}", "x", path))
            after = await counted(client)
            after["GET", "/metrics"] -= 1  # the look before
            assert after - before == Counter({(method, path): 1}), (method, path, answer.status_code)


async def test_the_product_page_is_one_route_whatever_the_product(query_api: FastAPI) -> None:
    async with browser(query_api) as client:
        for number in range(5):
            assert (await client.get(f"/v1/products/p{number}")).status_code == 503
        assert (await counted(client))["GET", "/v1/products/{product_id}"] == 5


async def test_what_a_client_makes_up_is_no_label(app: FastAPI) -> None:
    async with browser(app) as client:
        await counted(client)
        before = await counted(client)
        for number in range(20):
            await client.get(f"/nothing/{number}")
            await client.request(f"MAKEUP{number}", f"/nothing/{number}")
        after = await counted(client)
    new = after - before
    assert new == Counter({("GET", "unmatched"): 20, ("other", "unmatched"): 20, ("GET", "/metrics"): 1})


async def test_a_method_that_a_route_does_not_have_is_still_counted_there(query_api: FastAPI) -> None:
    async with browser(query_api) as client:
        assert (await client.delete("/v1/products/x")).status_code == 405
        assert (await client.delete("/v1/cart")).status_code == 405
        found = await counted(client)
    assert found["DELETE", "/v1/products/{product_id}"] == 1
    assert found["DELETE", "/v1/cart"] == 1


async def test_an_answer_is_timed_to_its_beginning_however_long_it_goes_on() -> None:
    registry = CollectorRegistry()

    async def goes_on(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(1.5)
        await send({"type": "http.response.body", "body": b""})

    transport = httpx.ASGITransport(with_state(Measured(goes_on, registry)))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop", timeout=10) as client:
        assert (await client.get("/")).status_code == 200
    labels = {"method": "GET", "route": "unmatched"}
    assert registry.get_sample_value("counterfoil_http_request_seconds_count", labels) == 1
    assert (registry.get_sample_value("counterfoil_http_request_seconds_sum", labels) or 9) < 1


def with_state(app: ASGIApp) -> ASGIApp:
    """What the framework outside of it would have put there."""

    async def stated(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"], scope["state"] = Starlette(), {}
        await app(scope, receive, send)

    return stated

"""Looking on while an order changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from domain.aggregates import Order
from queryside.api import models
from tests.integration.readside.conftest import serving
from tests.integration.readside.shop import MemoryShop, about_a_shipment_that_it_does_not_have, cause, order

ADA, BO = {"x-owner": "customer:ada"}, {"x-owner": "customer:bo"}
PATIENT_STAY_SECONDS = 4.0
OPERATOR = {"x-owner": "customer:op", "x-roles": "operator"}
PATH = f"/v1/orders/{UUID(int=1)}/events"


@dataclass(frozen=True)
class Seen:
    id: str
    change: str
    order: dict[str, Any]


def seen(answer: httpx.Response) -> list[Seen]:
    """The events, read as HTML has them: a line a field, an empty line after each."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8"), (
        answer.text
    )
    first, *events = answer.text.split("\n\n")[:-1]
    assert first == "retry: 3000"
    fields = [dict(line.split(": ", 1) for line in event.split("\n")) for event in events if not event.startswith(":")]
    return [Seen(each["id"], **msgspec.json.decode(each["data"])) for each in fields]


@pytest.fixture
async def patient_api(redis_client: Redis, shop: MemoryShop) -> AsyncIterator[httpx.AsyncClient]:
    """One whose answers go on for long enough on a machine that has much else to do."""
    async with serving(redis_client, shop.streams, PATIENT_STAY_SECONDS) as client:
        yield client


@pytest.fixture
async def adas(shop: MemoryShop) -> Order:
    placed = order("customer:ada", 1)
    await shop.happened(placed)
    return placed


async def test_what_happened_comes_first_in_order_each_with_the_order_as_it_was(
    patient_api: httpx.AsyncClient, shop: MemoryShop, adas: Order
) -> None:
    adas.pack("s1", cause())
    await shop.happened(adas)
    changes = seen(await patient_api.get(PATH, headers=ADA))
    assert [(c.id, c.change, c.order["version"], c.order["status"]) for c in changes] == [
        ("1", "order.submitted", 1, "pending_payment"),
        ("2", "order.placed", 2, "placed"),
        ("3", "order.shipment_packed", 3, "packed"),
    ]
    assert changes[-1].order == (await patient_api.get(f"/v1/orders/{UUID(int=1)}", headers=ADA)).json()
    for change in changes:
        models.Order.model_validate_json(msgspec.json.encode(change.order))


async def test_a_change_comes_while_one_looks_on(patient_api: httpx.AsyncClient, shop: MemoryShop, adas: Order) -> None:
    looking = asyncio.create_task(patient_api.get(PATH, headers={**ADA, "last-event-id": "2"}))
    await asyncio.sleep(0.2)
    adas.pack("s1", cause())
    await shop.happened(adas)
    await asyncio.sleep(0.2)
    adas.ship("s1", "Royal Mail", "X1", cause())
    await shop.happened(adas)
    assert [(c.id, c.change, c.order["status"]) for c in seen(await looking)] == [
        ("3", "order.shipment_packed", "packed"),
        ("4", "order.shipment_shipped", "shipped"),
    ]


@pytest.mark.usefixtures("adas")
async def test_another_orders_change_does_not(patient_api: httpx.AsyncClient, shop: MemoryShop) -> None:
    looking = asyncio.create_task(patient_api.get(PATH, headers={**ADA, "last-event-id": "2"}))
    await asyncio.sleep(0.2)
    await shop.happened(order("customer:ada", 2))
    assert seen(await looking) == []


@pytest.mark.usefixtures("adas")
async def test_who_comes_again_is_shown_what_was_missed_and_nothing_twice(api: httpx.AsyncClient) -> None:
    again = await api.get(PATH, headers={**ADA, "last-event-id": "1"})
    assert [c.id for c in seen(again)] == ["2"]


@pytest.mark.usefixtures("adas")
@pytest.mark.parametrize("last", ["3", "99", str(2**63 - 1), str(2**63), "-1", "x", "1.5", ""])
async def test_an_id_that_no_event_of_the_order_had_is_refused(api: httpx.AsyncClient, last: str) -> None:
    answer = await api.get(PATH, headers={**ADA, "last-event-id": last})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-input")
    assert answer.json()["errors"][0]["field"].endswith("Last-Event-ID")


@pytest.mark.usefixtures("adas")
async def test_it_is_for_its_owner_and_for_operators(api: httpx.AsyncClient) -> None:
    assert len(seen(await api.get(PATH, headers=OPERATOR))) == 2
    for who in ({}, BO, {**BO, "x-roles": "auditor"}):
        theirs = await api.get(PATH, headers=who)
        nobodys = await api.get(PATH.replace(str(UUID(int=1)), str(UUID(int=2))), headers=who)
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.json()["type"] == "/problems/not-found"


async def test_an_order_that_is_not_there_yet_is_waited_for(waiting_api: httpx.AsyncClient, shop: MemoryShop) -> None:
    position = shop.record(order("customer:ada", 1))
    looking = asyncio.create_task(waiting_api.get(PATH, headers={**ADA, "min-position": str(position)}))
    await asyncio.sleep(0.05)
    await shop.project()
    assert [c.id for c in seen(await looking)] == ["1", "2"]


@pytest.mark.usefixtures("adas")
async def test_a_caller_has_so_many_places_and_they_are_free_again(patient_api: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(patient_api.get(PATH, headers=ADA) for _ in range(33)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert [(answer.status_code, answer.json()["type"]) for answer in refused] == [(429, "/problems/too-many-requests")]
    assert refused[0].headers["retry-after"] == "5"
    assert len(seen(await patient_api.get(PATH, headers=ADA))) == 2


async def test_what_cannot_be_applied_ends_what_is_shown_and_nothing_else(
    patient_api: httpx.AsyncClient, shop: MemoryShop, adas: Order
) -> None:
    shop.streams.append(about_a_shipment_that_it_does_not_have(adas))
    assert [c.id for c in seen(await patient_api.get(PATH, headers=ADA))] == ["1", "2"]


async def test_the_page_says_what_the_answer_is_like(api: httpx.AsyncClient) -> None:
    described = (await api.get("/openapi.json")).json()["paths"]["/v1/orders/{order_id}/events"]["get"]
    content = described["responses"]["200"]["content"]
    assert content.keys() == {"text/event-stream"}
    assert content["text/event-stream"].keys() == {"schema"}, "and no itemSchema, which OpenAPI 3.1 does not have"
    assert {"404", "422", "429", "503"} < described["responses"].keys()


@pytest.mark.usefixtures("adas")
async def test_other_parameters_are_refused(api: httpx.AsyncClient) -> None:
    assert (await api.get(PATH, params={"x": "1"}, headers=ADA)).status_code == 422

"""Every endpoint, asked by every kind of caller: who may, who may not, and whose things nobody else can see."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import jwt
import pytest

from tests.e2e.client import ADDRESS
from tests.e2e.running_shop import JWT_SECRET, RunningShop

CALLERS: Final = (
    "guest", "other_guest", "customer", "other_customer", "operator", "auditor", "forged", "expired",
)  # fmt: skip
COMMAND, QUERY = "command", "query"


@dataclass(frozen=True)
class Row:
    """What a caller who may is told (`yes`); who else may, by `may`. `of` whose thing it is: others are told 404, but
    for who sees `everybodys`.
    """

    api: str
    method: str
    path: str
    yes: int
    may: frozenset[str] = frozenset(CALLERS) - {"forged", "expired"}
    of: str | None = None
    everybodys: frozenset[str] = frozenset({"operator"})
    body: Any = None


OPERATOR: Final = frozenset({"operator"})
READS_HISTORY: Final = frozenset({"operator", "auditor"})
SIGNED_IN: Final = frozenset({"customer", "other_customer", "operator", "auditor"})
PRODUCT: Final = {"sku": "LAMP", "title": "Lamp", "category": ["Home"], "price": {"amount": 500, "currency": "GBP"}}
CHECKOUT: Final = {"shipping_address": ADDRESS, "payment_token": "tok_ok"}

# What changes nothing, or may be done by one after the other: those who may are told the same.
ROWS: Final = (
    Row(COMMAND, "POST", "/v1/products", 409, OPERATOR, body=PRODUCT),
    Row(COMMAND, "PATCH", "/v1/products/LAMP", 200, OPERATOR, body={"title": "Lamp"}),
    Row(COMMAND, "POST", "/v1/inventory/LAMP/receive", 200, OPERATOR, body={"warehouse_id": "main", "quantity": 1}),
    Row(
        COMMAND, "POST", "/v1/inventory/LAMP/adjust", 200, OPERATOR,
        body={"warehouse_id": "main", "quantity_delta": 1, "reason": "count"},
    ),
    Row(COMMAND, "POST", "/v1/cart/items", 200, body={"product_id": "LAMP", "quantity": 1}),
    Row(COMMAND, "PUT", "/v1/cart/items/LAMP", 200, body={"quantity": 1}),
    Row(COMMAND, "DELETE", "/v1/cart/items/LAMP", 200),
    Row(COMMAND, "DELETE", "/v1/cart", 200),
    Row(COMMAND, "POST", "/v1/cart/merge", 200, SIGNED_IN),
    Row(COMMAND, "POST", "/v1/checkout", 409, body=CHECKOUT),  # their carts are empty by now
    Row(COMMAND, "POST", "/v1/orders/{customer}/cancel", 409, of="customer", body={}),  # it is packed
    Row(COMMAND, "POST", "/v1/orders/{guest}/cancel", 409, of="guest", body={}),
    Row(COMMAND, "GET", "/v1/orders/{customer}/ledger", 200, of="customer", everybodys=READS_HISTORY),
    Row(COMMAND, "GET", "/v1/orders/{guest}/ledger", 200, of="guest", everybodys=READS_HISTORY),
    Row(COMMAND, "POST", "/v1/orders/{customer}/shipments/s1/pack", 409, OPERATOR),
    Row(
        COMMAND, "POST", "/v1/orders/{customer}/shipments/s1/ship", 409, OPERATOR,
        body={"carrier": "Royal Mail", "tracking_number": "X1"},
    ),
    Row(COMMAND, "POST", "/v1/orders/{customer}/shipments/s1/deliver", 409, OPERATOR),
    Row(
        COMMAND, "POST", "/v1/orders/{customer}/returns", 409, of="customer",
        body={"items": [{"product_id": "LAMP", "quantity": 100}], "reason": "broken"},
    ),
    Row(COMMAND, "POST", "/v1/orders/{customer}/returns/{return}/receive", 200, OPERATOR),  # again
    Row(COMMAND, "POST", "/v1/webhooks/payments", 400, body={}),  # signed by nobody
    Row(COMMAND, "GET", "/v1/audit/order/{customer}", 200, READS_HISTORY),
    Row(QUERY, "GET", "/v1/products/LAMP", 200),
    Row(QUERY, "GET", "/v1/search", 200),
    Row(QUERY, "GET", "/v1/suggest", 200),
    Row(QUERY, "GET", "/v1/categories", 200),
    Row(QUERY, "GET", "/v1/categories/Home", 200),
    Row(QUERY, "GET", "/v1/cart", 200),
    Row(QUERY, "GET", "/v1/orders", 200),
    Row(QUERY, "GET", "/v1/orders/{customer}", 200, of="customer"),
    Row(QUERY, "GET", "/v1/orders/{guest}", 200, of="guest"),
    Row(QUERY, "GET", "/v1/orders/{customer}/events", 200, of="customer"),
    Row(QUERY, "GET", "/v1/orders/{guest}/events", 200, of="guest"),
    Row(QUERY, "GET", "/v1/inventory/LAMP", 200),
)  # fmt: skip


class Crowd:
    """One of each kind, with a client of its own."""

    def __init__(self, shop: RunningShop) -> None:
        self.shop = shop
        now = int(time.time())
        operator = {"sub": "olga", "roles": ["operator"]}
        signed = {
            "customer": shop.token("ada"),
            "other_customer": shop.token("bo"),
            "operator": shop.token("olga", "operator"),
            "auditor": shop.token("otto", "auditor"),
            "forged": _bearer({**operator, "exp": now + 3_600}, "another secret, long enough for HS256 as well"),
            "expired": _bearer({**operator, "exp": now - 3_600}, JWT_SECRET),
        }
        self.clients = {
            caller: httpx.AsyncClient(headers=signed.get(caller, {}), trust_env=False, timeout=30) for caller in CALLERS
        }
        self.ids: dict[str, str] = {}

    async def ask(self, caller: str, row: Row) -> httpx.Response:
        base = self.shop.command_url if row.api == COMMAND else self.shop.query_url
        url = base + row.path.format_map(self.ids)
        return await self.clients[caller].request(
            row.method, url, json=row.body, headers={"Idempotency-Key": f"{caller}-key"}
        )

    async def done(self, caller: str, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        answer = await self.clients[caller].request(method, self.shop.command_url + path, json=body, headers=headers)
        assert answer.is_success, (path, answer.text)
        told: dict[str, Any] = answer.json()
        self.position = int(answer.headers["Counterfoil-Position"])
        return told

    async def open_shop(self) -> None:
        """A product, and two orders: a customer's, which is on its way back in part, and a guest's, which is packed."""
        await self.done("operator", "POST", "/v1/products", PRODUCT)
        stock = {"warehouse_id": "main", "quantity": 50}
        await self.done("operator", "POST", "/v1/inventory/LAMP/receive", stock)
        for caller in ("customer", "guest"):
            await self.done(caller, "POST", "/v1/cart/items", {"product_id": "LAMP", "quantity": 2})
            order = await self.done(caller, "POST", "/v1/checkout", CHECKOUT, **{"Idempotency-Key": "first"})
            self.ids[caller] = order["order_id"]
            await self.done("operator", "POST", f"/v1/orders/{self.ids[caller]}/shipments/s1/pack")
        shipment = f"/v1/orders/{self.ids['customer']}/shipments/s1"
        shipped = {"carrier": "Royal Mail", "tracking_number": "X1"}
        await self.done("operator", "POST", f"{shipment}/ship", shipped)
        await self.done("operator", "POST", f"{shipment}/deliver")
        returns = f"/v1/orders/{self.ids['customer']}/returns"
        one = {"items": [{"product_id": "LAMP", "quantity": 1}], "reason": "broken"}
        self.ids["return"] = (await self.done("customer", "POST", returns, one))["return_id"]
        await self.done("operator", "POST", f"{returns}/{self.ids['return']}/receive")


@pytest.fixture
async def crowd(running: RunningShop) -> AsyncIterator[Crowd]:
    crowd = Crowd(running)
    await crowd.open_shop()
    yield crowd
    for client in crowd.clients.values():
        await client.aclose()


async def test_every_endpoint_by_every_kind_of_caller(crowd: Crowd) -> None:
    wrong: list[str] = []
    for row in ROWS:
        for caller in CALLERS:
            answer = await crowd.ask(caller, row)
            expected = _expected(row, caller)
            if answer.status_code != expected:
                wrong.append(
                    f"{row.method} {row.path} by {caller}: {answer.status_code}, not {expected}: {answer.text}"
                )
            elif answer.status_code >= 400:
                assert answer.json()["status"] == answer.status_code
    assert not wrong, "\n".join(wrong)


async def test_the_table_has_every_endpoint(running: RunningShop) -> None:
    for api, url in ((COMMAND, running.command_url), (QUERY, running.query_url)):
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            paths = (await client.get(f"{url}/openapi.json")).json()["paths"]
        documented = {
            (method.upper(), _shape(path)) for path, item in paths.items() for method in item if path.startswith("/v1/")
        }
        assert documented <= {
            (row.method, shape) for row in ROWS if row.api == api for shape in (_shape(row.path), _audited(row.path))
        }


def _expected(row: Row, caller: str) -> int:
    if caller in ("forged", "expired"):
        return 401
    if row.of is not None:
        return row.yes if caller in {row.of, *row.everybodys} else 404
    if caller in row.may:
        return row.yes
    return 401 if caller in ("guest", "other_guest") else 403


def _shape(path: str) -> str:
    """Words as they are, whatever stands for an id as one thing."""
    names = ("LAMP", "Home", "s1")
    return "/".join("*" if part in names or part.startswith("{") else part for part in path.split("/"))


def _audited(path: str) -> str:
    """The kind of thing is part of that path too."""
    return _shape(path).replace("/v1/audit/order/", "/v1/audit/*/")


def _bearer(claims: dict[str, Any], secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {jwt.encode(claims, secret, algorithm='HS256')}"}

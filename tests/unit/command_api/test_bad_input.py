"""Every endpoint, as the OpenAPI page lists them, against everything that a client can get wrong."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest

from tests.unit.command_api.shop import ADDRESS, JWT_SECRET, CommandShop

PUBLIC = {"/healthz", "/readyz", "/metrics"}
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/products": {"sku": "X1", "title": "X", "category": ["A"], "price": {"amount": 1, "currency": "GBP"}},
    "PATCH /v1/products/{product_id}": {"title": "X"},
    "POST /v1/inventory/{sku}/receive": {"warehouse_id": "main", "quantity": 1},
    "POST /v1/inventory/{sku}/adjust": {"warehouse_id": "main", "quantity_delta": 1, "reason": "count"},
    "POST /v1/cart/items": {"product_id": "LAMP", "quantity": 1},
    "PUT /v1/cart/items/{product_id}": {"quantity": 1},
    "DELETE /v1/cart/items/{product_id}": {},
    "DELETE /v1/cart": {},
    "POST /v1/cart/merge": {},
    "POST /v1/checkout": {"shipping_address": ADDRESS, "payment_token": "tok_ok"},
    "POST /v1/orders/{order_id}/cancel": {"reason": "no"},
    "POST /v1/orders/{order_id}/shipments/{shipment_id}/pack": {},
    "POST /v1/orders/{order_id}/shipments/{shipment_id}/ship": {"carrier": "C", "tracking_number": "T"},
    "POST /v1/orders/{order_id}/shipments/{shipment_id}/deliver": {},
    "POST /v1/orders/{order_id}/returns": {"items": [{"product_id": "LAMP", "quantity": 1}], "reason": "no"},
    "POST /v1/orders/{order_id}/returns/{return_id}/receive": {},
    "POST /v1/webhooks/payments": {},
    "GET /v1/orders/{order_id}/ledger": {},
    "GET /v1/audit/{kind}/{public_id}": {},
}
RIGHT_AFTER_ALL = (
    {**BODIES["POST /v1/products"], "sku": "1"},
    {**BODIES["POST /v1/products"], "title": "1"},
    {"title": "1"},
    {**BODIES["POST /v1/inventory/{sku}/adjust"], "reason": "1"},
)
WITH_BODY = [name for name, body in BODIES.items() if body]
FOR_OPERATORS = [
    name for name in BODIES if any(part in name for part in ("products", "inventory", "shipments", "rece"))
]


def operations(shop: CommandShop) -> set[str]:
    paths = shop.app.openapi()["paths"]
    return {f"{method.upper()} {path}" for path in paths if path not in PUBLIC for method in paths[path]}


async def call(client: httpx.AsyncClient, name: str, **request: Any) -> httpx.Response:
    method, path = name.split()
    filled = path.format(
        product_id="LAMP",
        sku="LAMP",
        order_id="01a1f86a-98ee-778a-a897-52d906e6d62b",
        shipment_id="s1",
        return_id="r1",
        kind="product",
        public_id="LAMP",
    )
    return await client.request(method, filled, **request)


async def refused(shop: CommandShop, answer: httpx.Response, before: int, *statuses: int) -> None:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"].startswith("/problems/") and problem["title"] and problem["detail"]
    assert "Set-Cookie" not in answer.headers
    assert shop.topics(before) == [], "something was written"


def mistakes(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Bodies that are each wrong in one place: another type, far too large, missing, unknown, deep."""
    wrong: list[dict[str, Any]] = [{**body, "surprise": 1}]
    for field, value in body.items():
        others: list[Any] = [[[]], {"a": {"b": {}}}, True, "x" * 20_000, "\x00", "\ud800", 10**400, -(10**400), 1.5]
        if not isinstance(value, int):
            others += [-1]
        if not isinstance(value, str):
            others += ["1", "", None]
        wrong += [{**body, field: other} for other in others]
        if isinstance(value, dict):
            wrong += [{**body, field: inner} for inner in mistakes(value)]
    return wrong


async def test_every_endpoint_is_tried(shop: CommandShop) -> None:
    assert operations(shop) == set(BODIES)


@pytest.mark.parametrize("name", WITH_BODY)
async def test_what_is_not_json(shop: CommandShop, name: str) -> None:
    before = await shop.store.last_position()
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    for content in (b"{", b'{"a": }', b"\xff\xfe", b"", b"NaN", b"[" * 100_000):
        answer = await call(shop.operator, name, content=content, headers=headers)
        if content or "cancel" not in name:  # a cancellation needs no body: there the order is not found
            await refused(shop, answer, before, 400, 422)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
@pytest.mark.parametrize("name", WITH_BODY)
async def test_what_is_json_in_another_encoding(shop: CommandShop, name: str, encoding: str) -> None:
    before = await shop.store.last_position()
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    content = json.dumps(BODIES[name]).encode(encoding)
    answer = await call(shop.operator, name, content=content, headers=headers)
    await refused(shop, answer, before, 400)
    assert answer.json()["type"] == "/problems/malformed-json"


@pytest.mark.parametrize("content", [b'{"surprise": "\\ud800"}', b"[" * 100_000, b'"\xff"', b"{"])
@pytest.mark.parametrize("name", WITH_BODY)
async def test_what_is_no_json_is_none_anywhere(shop: CommandShop, name: str, content: bytes) -> None:
    before = await shop.store.last_position()
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    answer = await call(shop.operator, name, content=content, headers=headers)
    await refused(shop, answer, before, 400)
    assert answer.json()["type"] == "/problems/malformed-json"


@pytest.mark.parametrize("name", WITH_BODY)
async def test_what_is_json_of_another_kind(shop: CommandShop, name: str) -> None:
    before = await shop.store.last_position()
    others: list[Any] = [[], "text", 1, [{}], {"surprise": 1}]
    if "cancel" not in name:  # a cancellation needs no body
        others.append(None)
    for content in others:
        answer = await call(shop.operator, name, json=content, headers={"Idempotency-Key": "k"})
        await refused(shop, answer, before, 422)


@pytest.mark.parametrize("name", WITH_BODY)
async def test_every_field_wrong(shop: CommandShop, name: str) -> None:
    before = await shop.store.last_position()
    for body in mistakes(BODIES[name]):
        if body in RIGHT_AFTER_ALL:
            continue
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
        answer = await call(shop.operator, name, content=content, headers=headers)
        # 404 and 409: a string that happens to be a name that nothing has, or a cart that is empty.
        # 400: half a surrogate pair is no text, and so no JSON to some parsers.
        await refused(shop, answer, before, 400, 404, 409, 422)


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_of_ten_megabytes(shop: CommandShop, name: str) -> None:
    before = await shop.store.last_position()
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    answer = await call(shop.operator, name, content=b'"' + b"x" * 10_000_000 + b'"', headers=headers)
    await refused(shop, answer, before, 413)


async def endless_text(megabytes_count: int) -> AsyncIterator[bytes]:
    """Sent in pieces, without a word of how many there will be."""
    yield b'"'
    for _ in range(megabytes_count * 16):
        yield b"x" * 65_536
    yield b'"'


@pytest.mark.parametrize("name", [*WITH_BODY, "POST /v1/webhooks/payments"])
async def test_a_body_of_ten_megabytes_in_pieces(shop: CommandShop, name: str) -> None:
    before = await shop.store.last_position()
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    answer = await call(shop.operator, name, content=endless_text(10), headers=headers)
    assert "Content-Length" not in answer.request.headers
    await refused(shop, answer, before, 413)
    assert answer.json()["type"] == "/problems/body-too-large"


@pytest.mark.parametrize("name", BODIES)
async def test_a_forged_or_expired_token(shop: CommandShop, name: str) -> None:
    claims = {"sub": "mallory", "roles": ["operator", "auditor"], "exp": int(time.time()) + 3_600}
    forged = [
        jwt.encode(claims, "not the secret, but just as long as it is", algorithm="HS256"),
        jwt.encode({**claims, "exp": 1}, JWT_SECRET, algorithm="HS256"),
        jwt.encode({**claims, "nbf": 32503680000}, JWT_SECRET, algorithm="HS256"),
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode(claims, JWT_SECRET, algorithm="HS512"),
        jwt.encode({name: claims[name] for name in ("sub", "roles")}, JWT_SECRET, algorithm="HS256"),
        jwt.encode({name: claims[name] for name in ("roles", "exp")}, JWT_SECRET, algorithm="HS256"),
        jwt.encode({**claims, "roles": "operator"}, JWT_SECRET, algorithm="HS256"),
        jwt.encode({**claims, "sub": "\n"}, JWT_SECRET, algorithm="HS256"),
        "nonsense",
        "a.b.c",
        "ÿ",
    ]
    before = await shop.store.last_position()
    client = shop.client()
    for token in forged:
        header = {"Authorization": f"Bearer {token}".encode("latin-1"), "Idempotency-Key": b"k"}
        answer = await call(client, name, json=BODIES[name], headers=header)
        await refused(shop, answer, before, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("name", FOR_OPERATORS)
async def test_what_only_operators_may(shop: CommandShop, name: str) -> None:
    before = await shop.store.last_position()
    await refused(shop, await call(shop.client(), name, json=BODIES[name]), before, 401)
    for roles in ([], ["auditor"], ["admin"]):
        answer = await call(shop.client(sub="eve", roles=roles), name, json=BODIES[name])
        await refused(shop, answer, before, 403)


@pytest.mark.parametrize("value", ["7", '"x"', "W/7", '"-1"', '"99999999999999999999"', "ÿ"])
async def test_a_malformed_version(shop: CommandShop, value: str) -> None:
    before = await shop.store.last_position()
    header = {b"If-Match": value.encode("latin-1")}
    answer = await shop.operator.patch("/v1/products/LAMP", json={"title": "X"}, headers=header)
    await refused(shop, answer, before, 422)


@pytest.mark.parametrize(
    ("key", "slug"), [(None, "missing"), ("", "invalid"), ("x" * 256, "invalid"), ("a b", "invalid")]
)
async def test_a_checkout_without_a_proper_key(shop: CommandShop, key: str | None, slug: str) -> None:
    before = await shop.store.last_position()
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = await shop.client(sub="ada").post("/v1/checkout", json=BODIES["POST /v1/checkout"], headers=headers)
    await refused(shop, answer, before, 400)
    assert answer.json()["type"] == f"/problems/idempotency-key-{slug}"


@pytest.mark.parametrize(
    "path", ["/v1/products/%00", "/v1/products/..%2f..", "/v1/cart/items/%ff%fe", "/v1/nothing", "/"]
)
async def test_odd_paths(shop: CommandShop, path: str) -> None:
    before = await shop.store.last_position()
    for method in ("PATCH", "DELETE", "POST"):
        answer = await shop.operator.request(method, path, json={"title": "X"})
        await refused(shop, answer, before, 404, 405, 422)


async def test_a_cookie_that_nobody_signed_is_no_session(shop: CommandShop) -> None:
    guest, thief = shop.client(), shop.client()
    answer = await guest.post("/v1/cart/items", json={"product_id": "LAMP", "quantity": 1})
    signed = answer.cookies["cf_session"]
    guest_part, moment, signature = signed.split(".")
    forged = signature[:5] + ("A" if signature[5] != "A" else "B") + signature[6:]
    for cookie in ("guest", f"{guest_part}.{moment}.{forged}", guest_part, "\x7f"):
        thief.cookies.set("cf_session", cookie)
        assert (await thief.delete("/v1/cart")).json()["cart_id"] is None


async def test_a_fault_of_ours_says_nothing_but_an_id(shop: CommandShop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("the secret inside")

    monkeypatch.setattr(shop.write_side, "execute_in_shop", fails)
    answer = await shop.client().delete("/v1/cart")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["error_id"] == answer.headers["X-Request-ID"]

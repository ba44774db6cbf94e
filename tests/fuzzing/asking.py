"""Requests that Schemathesis makes up from an OpenAPI page, asked of a shop, and what is wrong with an answer."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import requests
import schemathesis
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.e2e.running_shop import RunningShop

# A request may fit the page and break a rule that a schema does not say; and 503 is an answer, where the page has it.
EXCLUDED: Final[Any] = [positive_data_acceptance, not_a_server_error]
KNOWN_SHARE: Final = 0.7
WAITING_SHARE: Final = 0.005
ANSWER_TIMEOUT_SECONDS: Final = 30.0
ORDERS_COUNT: Final = 3
SKUS: Final = ("LAMP", "VASE", "WRAP-1")
ADDRESS: Final = {"name": "Ada", "line1": "1 Lane", "city": "Leeds", "postcode": "LS1 1AA", "country": "GB"}


SEED_VARIABLE: Final = "COUNTERFOIL_FUZZ_SEED"
FIRST_SEED: Final = int(os.environ.get(SEED_VARIABLE, "0"))


@dataclass
class Asking:
    """Everybody asks everything: a guest, a customer, an operator, an auditor. `answers` counts by status."""

    shop: RunningShop
    url: str
    chance: random.Random
    known: dict[str, list[str]]
    answers: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.callers: list[dict[str, str]] = [
            {},
            self.shop.token("ada"),
            self.shop.token("olga", "operator"),
            self.shop.token("otto", "auditor"),
        ]

    def ask(self, case: Case[Any]) -> None:
        """Raises what Schemathesis finds: an answer that the page does not have; or AssertionError: a fault of ours."""
        self._let_it_meet_something(case)
        for caller in self.callers:
            answer = case.call(
                base_url=self.url,
                session=self.session,
                headers=caller,
                timeout=ANSWER_TIMEOUT_SECONDS,
                allow_redirects=False,
            )
            self.answers[answer.status_code] = self.answers.get(answer.status_code, 0) + 1
            ensure_answered(case, answer)
            case.validate_response(answer, excluded_checks=EXCLUDED, headers=caller)

    def _let_it_meet_something(self, case: Case[Any]) -> None:
        """Ids that are made up meet nothing. And who waits for a position that is years ahead waits for long."""
        for name in ("Min-Position", "Min-Version"):
            if self.chance.random() > WAITING_SHARE:
                case.headers.pop(name, None)
        for name, values in self.known.items():
            if name in case.path_parameters and self.chance.random() < KNOWN_SHARE:
                case.path_parameters[name] = self.chance.choice(values)
        if isinstance(case.body, dict) and "product_id" in case.body and self.chance.random() < KNOWN_SHARE:
            case.body["product_id"] = self.chance.choice(SKUS)


def ensure_answered(case: Case[Any], answer: Response) -> None:
    """Raises AssertionError for a fault of ours; 503 is an answer, where it says when to ask again."""
    asked = case.as_curl_command
    assert answer.status_code < 500 or answer.status_code == 503, f"{asked()}\n{answer.content!r}"
    if answer.status_code == 503:
        assert answer.headers.get("retry-after"), f"{asked()}\n{answer.headers}"


def a_stocked_shop(shop: RunningShop) -> dict[str, list[str]]:
    """Products, an order that is placed and one that has shipped; what the ids in paths may be."""
    with httpx.Client(base_url=shop.command_url, trust_env=False, timeout=ANSWER_TIMEOUT_SECONDS) as client:

        def done(path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
            answer: dict[str, Any] = client.post(path, json=body, headers=headers).raise_for_status().json()
            return answer

        operator, ada = shop.token("olga", "operator"), shop.token("ada")
        for sku in SKUS:
            price = {"amount": 500, "currency": "GBP"}
            done("/v1/products", {"sku": sku, "title": f"A {sku}", "category": ["Home"], "price": price}, operator)
            done(f"/v1/inventory/{sku}/receive", {"warehouse_id": "main", "quantity": 100_000}, operator)
        orders = []
        for number in range(ORDERS_COUNT):
            done("/v1/cart/items", {"product_id": SKUS[0], "quantity": 2}, ada)
            wanted = {"shipping_address": ADDRESS, "payment_token": "tok_ok"}
            orders.append(done("/v1/checkout", wanted, {**ada, "Idempotency-Key": f"order-{number}"})["order_id"])
    return {
        "product_id": list(SKUS),
        "sku": list(SKUS),
        "order_id": orders,
        "shipment_id": ["s1"],
        "kind": ["product", "order", "stock", "cart", "checkout"],
        "public_id": [*SKUS, *orders, f"{SKUS[0]}@main"],
        "path": ["Home"],
    }


def operations(url: str) -> dict[str, Any]:
    """Every operation of the page, by its name: `POST /v1/checkout`."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    found: list[Any] = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    # Those of operations answer in other formats, or stand still for nobody.
    return {f"{each.method.upper()} {each.path}": each for each in found if each.path.startswith("/v1/")}

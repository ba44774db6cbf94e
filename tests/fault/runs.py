"""Runs one after another on one shop, each with SKUs of its own; and the evidence of all of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Final

import psycopg

from tests.fault.accounts import Accounts
from tests.fault.adversary import Adversary
from tests.fault.asking import Door, person
from tests.fault.evidence import Evidence
from tests.fault.ledger import read_ledger
from tests.fault.provider_books import settled_payments
from tests.fault.shop_in_parts import ShopInParts, a_shop_in_parts
from tests.fault.shopping import Shopping

# An interrupted checkout is taken up 5 s after its request was to be answered, or when its reservation has run out.
ANSWER_WITHIN_SECONDS: Final = 1
ENDED_AFTER_RESERVATION_SECONDS: Final = 60
OPENED_WITHIN_SECONDS: Final = 60
VIEWS_WITHIN_SECONDS: Final = 60


async def evidence_of(
    folder: Path, seed: str, *, runs_count: int, faults_count: int, reservation_ttl_seconds: int
) -> Evidence:
    """Of so many runs with so many faults each, all of them over and settled. Raises AssertionError when they do not
    settle in their time.
    """
    settings = {
        "COUNTERFOIL_RESERVATION_TTL_SECONDS": str(reservation_ttl_seconds),
        "COUNTERFOIL_CHECKOUT_ANSWER_WITHIN_SECONDS": str(ANSWER_WITHIN_SECONDS),
    }
    async with a_shop_in_parts(folder, **settings) as shop:
        shoppings, faults = [], Counter[str]()
        async with asyncio.TaskGroup() as group:
            for number in range(runs_count):
                # What the run before has left unfinished goes on meanwhile.
                shopping = Shopping(shop.clients.url, f"run{number}", seed)
                shoppings.append(shopping)
                group.create_task(shopping.run())
                async with asyncio.timeout(OPENED_WITHIN_SECONDS):
                    await shopping.opened.wait()
                adversary = Adversary(shop, f"{number} {seed}")
                await adversary.strike(faults_count)
                faults += adversary.done
                await shopping.until_worth_a_look()
                shopping.stop()
        ended_within_seconds = reservation_ttl_seconds + ENDED_AFTER_RESERVATION_SECONDS
        await until_all_has_ended(shop.database_url, ended_within_seconds)
        payments = await settled_payments(shop.provider_url, ended_within_seconds)
        for shopping in shoppings:
            await shopping.look_at_the_end()
        log = read_ledger(shop.database_url).log
        orders = list(Accounts.of(log).orders)
        skus = [sku for shopping in shoppings for sku in shopping.records.skus]
        return Evidence(
            runs=[shopping.records for shopping in shoppings],
            log=log,
            payments=payments,
            shown=await shown_by(shop, orders, skus, log[-1].position),
            faults=faults,
            ended_by_itself={name: part.ends_count for name, part in shop.parts.items()},
        )


async def until_all_has_ended(database_url: str, within_seconds: float) -> None:
    until = time.monotonic() + within_seconds
    while left := await asyncio.to_thread(unfinished_checkouts, database_url):
        assert time.monotonic() < until, f"still unfinished after {within_seconds} s: {left}"
        await asyncio.sleep(0.1)


def unfinished_checkouts(database_url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute("SELECT checkout_id, due_at FROM log.unfinished_checkouts").fetchall()


async def shown_by(shop: ShopInParts, orders: list[str], skus: list[str], position: int) -> dict[str, int | str]:
    """What the query API shows once it has seen the whole log."""
    operator = person("olga", "operator")
    async with Door(shop.query_url) as door, asyncio.timeout(VIEWS_WITHIN_SECONDS):

        async def shown(path: str) -> dict[str, object]:
            while (told := await door.ask(operator, "GET", path, Min_Position=str(position))).status != 200:
                assert told.status in (0, 503), f"{path}: {told}"
            body: dict[str, object] = told.body
            return body

        products = await asyncio.gather(*(shown(f"/v1/products/{sku}") for sku in skus))
        found = await asyncio.gather(*(shown(f"/v1/orders/{order_id}") for order_id in orders))
    units = {sku: product["availability"]["quantity"] for sku, product in zip(skus, products, strict=True)}  # type: ignore[index]
    return units | {order_id: str(order["status"]) for order_id, order in zip(orders, found, strict=True)}

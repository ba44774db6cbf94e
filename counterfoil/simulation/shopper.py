"""What shoppers do, one action after another, and what they remember of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

from counterfoil.simulation.desk import Reply
from counterfoil.simulation.process import TARIFF
from counterfoil.simulation.scenario import Action, Person
from counterfoil.simulation.shop import Shop
from domain.identity import product_stream

STANDARD_FEE_MINOR: Final = TARIFF.shipping_methods["standard"].fee_minor


class Shopper:
    """`device` tells two devices of one customer apart: each makes Idempotency-Keys of its own."""

    def __init__(self, shop: Shop, person: Person, device: int) -> None:
        self._shop = shop
        self._person = person
        self._owner = person.owner
        self._device = device
        self._keys_count = 0
        self._asked_last: dict[str, Any] | None = None
        self._is_empty = True
        self._seen_total: dict[str, Any] | None = None
        self._orders: list[tuple[str, UUID]] = []

    async def live(self) -> None:
        world = self._shop.world
        await world.later(max(0.0, self._person.comes_at_seconds - world.now_seconds), lambda: None)
        for action in self._person.actions:
            if action.pause_seconds:
                await world.later(action.pause_seconds, lambda: None)
            await _DONE[action.kind](self, action)

    async def _browse(self, action: Action) -> None:
        """Reads a price off the page, and believes that one of it, with the fee and the tax, is what it will cost."""
        view = self._shop.views["product"].get(product_stream(action.sku))
        if view is not None:
            self._seen_total = _total(view.page.price.amount, view.page.price.currency)

    async def _add(self, action: Action) -> None:
        await self._on_cart("add", {"product_id": action.sku, "quantity": action.quantity})

    async def _change(self, action: Action) -> None:
        await self._on_cart("change", {"product_id": action.sku, "quantity": action.quantity - 1})

    async def _remove(self, action: Action) -> None:
        await self._on_cart("remove", {"product_id": action.sku})

    async def _clear(self, action: Action) -> None:
        await self._on_cart("clear", {})

    async def _merge(self, action: Action) -> None:
        signs_in_as = self._person.signs_in_as
        if signs_in_as is not None:
            await self._on_cart("merge", {"guest": self._person.owner}, signs_in_as)
            self._owner = signs_in_as

    async def _check_out(self, action: Action) -> None:
        if self._is_empty and action.choice < 0.9:
            return
        fields = self._new_checkout(action)
        self._note_order(await self._shop.insist("check_out", self._owner, fields))

    async def _check_out_twice(self, action: Action) -> None:
        """The button was pressed twice."""
        if self._is_empty:
            return
        fields = self._new_checkout(action)
        twice = [self._shop.insist("check_out", self._owner, fields) for _ in range(2)]
        for reply in await asyncio.gather(*twice):
            self._note_order(reply)

    async def _repeat(self, action: Action) -> None:
        if self._asked_last is not None:
            owner, fields = self._asked_last["owner"], self._asked_last["fields"]
            if action.choice < 0.1:
                fields = {**fields, "payment_token": "tok_other"}  # the key again with another body
            await self._shop.insist("check_out", owner, fields)

    async def _cancel(self, action: Action) -> None:
        if self._orders:
            # Half of them what they have just bought.
            place = int(action.choice * 2 * len(self._orders)) if action.choice < 0.5 else -1
            owner, order_id = self._orders[place]
            await self._shop.insist("cancel", owner, {"order_id": order_id})

    async def _return(self, action: Action) -> None:
        views = self._shop.views["order"]
        orders = [(owner, views[id_].page) for owner, id_ in self._orders if id_ in views]
        sent = [one for one in orders if one[1].status in ("shipped", "delivered")]
        if sent and action.choice < 0.9:
            orders = sent
        if not orders:
            return
        owner, page = orders[int(action.choice * 83) % len(orders)]
        items = page.items
        item = items[int(action.choice * 97) % len(items)]
        quantity = min(action.quantity, item.quantity)
        fields = {
            "order_id": UUID(page.order_id),
            "return_id": f"ret-{self._shop.world.new_id()}",
            "items": [{"product_id": item.product_id, "quantity": quantity}],
        }
        await self._shop.ask("return", owner, fields)

    async def _on_cart(self, kind: str, fields: dict[str, Any], owner: str | None = None) -> None:
        reply = await self._shop.ask(kind, owner or self._owner, fields)
        if reply is not None and reply.status == 200:
            subtotal = reply.body["subtotal"]
            self._is_empty = not reply.body["items"]
            self._seen_total = _total(subtotal["amount"], subtotal["currency"])

    def _new_checkout(self, action: Action) -> dict[str, Any]:
        self._keys_count += 1
        fields: dict[str, Any] = {
            "idempotency_key": f"{self._device}-{self._keys_count}",
            "payment_token": action.token,
        }
        if action.choice < 0.5 and self._seen_total is not None:
            fields["expected_total"] = self._seen_total
        elif action.choice > 0.8:
            fields["shipping_method"] = "express"
        self._asked_last = {"owner": self._owner, "fields": fields}
        return fields

    def _note_order(self, reply: Reply | None) -> None:
        if reply is None:
            return
        if reply.status in (201, 202):
            self._is_empty = True
            self._orders.append((self._owner, UUID(reply.body["order_id"])))
        elif reply.body.get("type") == "/problems/price-changed":
            self._seen_total = reply.body["new"]


def _total(subtotal_minor: int, currency: str) -> dict[str, Any]:
    tax = (subtotal_minor * TARIFF.tax_basis_points + 5_000) // 10_000
    return {"amount": subtotal_minor + STANDARD_FEE_MINOR + tax, "currency": currency}


_DONE: Final[dict[str, Callable[[Shopper, Action], Awaitable[None]]]] = {
    "browse": Shopper._browse,
    "add": Shopper._add,
    "change": Shopper._change,
    "remove": Shopper._remove,
    "clear": Shopper._clear,
    "merge": Shopper._merge,
    "check_out": Shopper._check_out,
    "check_out_twice": Shopper._check_out_twice,
    "repeat": Shopper._repeat,
    "cancel": Shopper._cancel,
    "return": Shopper._return,
}

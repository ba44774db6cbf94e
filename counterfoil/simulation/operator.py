"""What the people of the shop do: goods in, counts, prices, parcels, and what comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

from counterfoil.simulation.scenario import Action, Person
from counterfoil.simulation.shop import Shop

OPERATOR: Final = "operator"
_NEXT: Final = {"placed": "pack", "processing": "pack", "packed": "ship", "shipped": "deliver"}
_AT_HAND_COUNT: Final = 60  # of the latest orders one is taken


class Operator:
    """Works from the pages, which are a little old: a part of what is tried is refused."""

    def __init__(self, shop: Shop, person: Person) -> None:
        self._shop = shop
        self._person = person

    async def live(self) -> None:
        world = self._shop.world
        await world.later(max(0.0, self._person.comes_at_seconds - world.now_seconds), lambda: None)
        for action in self._person.actions:
            await world.later(action.pause_seconds, lambda: None)
            await _DONE[action.kind](self, action)

    async def _receive(self, action: Action) -> None:
        await self._shop.ask("receive", OPERATOR, _goods(action.sku, _place(action), quantity=action.quantity))

    async def _adjust(self, action: Action) -> None:
        fields = _goods(action.sku, _place(action), quantity_delta=action.quantity - 6, reason="counted")
        await self._shop.ask("adjust", OPERATOR, fields)

    async def _reprice(self, action: Action) -> None:
        price = {"amount": 100 * int(1 + action.choice * 90), "currency": "GBP"}
        await self._shop.ask("change_product", OPERATOR, {"sku": action.sku, "price": price})

    async def _withdraw_from_sale(self, action: Action) -> None:
        await self._shop.ask("change_product", OPERATOR, {"sku": action.sku, "status": "inactive"})

    async def _put_on_sale(self, action: Action) -> None:
        await self._shop.ask("change_product", OPERATOR, {"sku": action.sku, "status": "active"})

    async def _limit(self, action: Action) -> None:
        units = None if action.choice < 0.3 else 1 + action.quantity // 3
        await self._shop.ask("change_product", OPERATOR, {"sku": action.sku, "limit_per_customer": units})

    async def _fulfil(self, action: Action) -> None:
        order_id = self._chosen(action)
        if order_id is None:
            return
        shipments = self._shop.views["order"][order_id].page.shipments
        if not shipments:
            return
        shipment = shipments[int(action.choice * 89) % len(shipments)]
        step = _NEXT.get(shipment.status, "deliver")
        fields: dict[str, Any] = {"order_id": order_id, "shipment_id": shipment.shipment_id}
        if step == "ship":
            fields |= {"carrier": "post", "tracking_number": "T1"}
        await self._shop.insist(step, OPERATOR, fields)

    async def _take_back(self, action: Action) -> None:
        for order_id in reversed(self._shop.orders[-_AT_HAND_COUNT:]):
            for returned in self._shop.views["order"][order_id].page.returns:
                if returned.status == "requested":
                    fields = {"order_id": order_id, "return_id": returned.return_id}
                    await self._shop.insist("receive_return", OPERATOR, fields)
                    return

    def _chosen(self, action: Action) -> UUID | None:
        views = self._shop.views["order"]
        at_hand = [id_ for id_ in self._shop.orders[-_AT_HAND_COUNT:] if views[id_].page.status in _NEXT]
        return at_hand[int(action.choice * len(at_hand))] if at_hand else None


async def open_shop(shop: Shop, stock: tuple[tuple[str, str, int], ...]) -> None:
    """The catalogue and the first goods."""
    for number, sku in enumerate(dict.fromkeys(sku for sku, _, _ in stock), start=1):
        price = {"amount": 499 + 1_000 * number, "currency": "GBP"}
        fields = {"sku": sku, "title": f"Thing {number}", "category": ("Things",), "price": price}
        await shop.insist("add_product", OPERATOR, fields)
    for sku, warehouse_id, quantity in stock:
        await shop.ask("receive", OPERATOR, _goods(sku, warehouse_id, quantity=quantity))


def _goods(sku: str, warehouse_id: str, **more: Any) -> dict[str, Any]:
    return {"sku": sku, "warehouse_id": warehouse_id, **more}


def _place(action: Action) -> str:
    return "north" if action.choice < 0.5 else "south"


_DONE: Final[dict[str, Callable[[Operator, Action], Awaitable[None]]]] = {
    "receive": Operator._receive,
    "adjust": Operator._adjust,
    "reprice": Operator._reprice,
    "withdraw_from_sale": Operator._withdraw_from_sale,
    "put_on_sale": Operator._put_on_sale,
    "limit": Operator._limit,
    "fulfil": Operator._fulfil,
    "take_back": Operator._take_back,
}

"""Orders of the time in which a payment was taken in one: they go on as what they are, paid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from eventsourcing.persistence import StoredEvent

from commandside.event_store.mapper import EventMapper
from commandside.event_store.memory import MemoryEventStore
from commandside.payments.port import Payment
from domain.events import AnyEvent
from projections.order import EVENT_TYPES, OrderView, evolve
from tests.unit.command_api.conftest import Clock
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.unit.command_api.test_checkout import PRICE, UNTOUCHED
from tests.unit.command_api.test_ledger import kinds, ledger_of

NOT_YET = {
    "order.placed.v2": ("order.placed.v1", "payment_captured"),
    "checkout.completed.v2": ("checkout.completed.v1", "capture_after"),
}


class FormerMapper(EventMapper):
    """Stores as it was stored then."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        stored = super().to_stored_event(domain_event)
        if stored.topic not in NOT_YET:
            return stored
        topic, unknown = NOT_YET[stored.topic]
        state = {name: value for name, value in msgspec.json.decode(stored.state).items() if name != unknown}
        return StoredEvent(stored.originator_id, stored.originator_version, topic, msgspec.json.encode(state))


async def test_one_that_was_paid_is_cancelled_and_paid_back(tmp_path: Path, clock: Clock) -> None:
    store = MemoryEventStore(FormerMapper())
    async with CommandShop(tmp_path, clock, stored_in=store).running() as before:
        await before.given_product("LAMP", price=1999, stock=10)
        await fill_cart(shopper := before.client(sub="ada"))
        order_id = (await check_out(shopper, "key-1", "tok_capture_error_then_ok")).json()["order_id"]
        await before.write_side.capturing.drain()
        await before.provider.capture(Payment(order_id, PRICE, "", order_id), PRICE)
    async with CommandShop(tmp_path, clock, before.provider, store).running() as now:
        assert (await now.order(order_id))["payment_status"] == "captured"
        assert payment_status_shown([recorded.event for recorded in store.log()]) == "captured"
        shopper = now.client(sub="ada")

        cancelled = (await shopper.post(f"/v1/orders/{order_id}/cancel")).json()

        assert (cancelled["status"], cancelled["payment"]["status"]) == ("cancelled", "refunded")
        assert before.provider.refunded() == {order_id: PRICE}
        assert await now.stock("LAMP") == UNTOUCHED
        assert payment_status_shown([recorded.event for recorded in store.log()]) == "refunded"
        taken_and_given_back = ["captured", "refund_requested", "refunded"]
        assert [kind for kind, _ in kinds(await ledger_of(shopper, order_id))][2:] == taken_and_given_back


def payment_status_shown(events: list[AnyEvent]) -> str:
    view: OrderView | None = None
    for event in events:
        if type(event) in EVENT_TYPES:
            view = evolve(view, event)
    assert view is not None
    return view.page.payment.status

"""Orders and their checkouts: begun whole, ended once and whole, at the prices of the catalogue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from counterfoil.simulation.checker.evidence import Event, Json
from counterfoil.simulation.checker.stock import Place, StockBook

# With this token the provider does not take what it holds, and lets it go: so its page says.
REFUSING_TOKEN = "tok_capture_refused"
_PROGRESS = ("placed", "processing", "packed", "shipped", "delivered")


@dataclass(slots=True)
class Order:
    """`ended` are the events by which its checkout came to an end; `status_at` its status by version.

    `captures` are (reference, minor units) by its checkout, `shown_captures` by the order itself. `refunds_spared` were
    asked for before the money was taken, and never taken in the first place.
    """

    id: str
    submitted: Event
    shipments: dict[str, str]
    started: Event | None = None
    placed: Event | None = None
    failed: Event | None = None
    cancelled: Event | None = None
    ended: list[Event] = field(default_factory=list)
    voided: Event | None = None
    packed: Event | None = None
    captures: list[tuple[str, int]] = field(default_factory=list)
    shown_captures: list[tuple[str, int]] = field(default_factory=list)
    captured: Event | None = None
    released: Event | None = None
    refused: Event | None = None
    is_shown_released: bool = False
    returns: dict[str, Json] = field(default_factory=dict)
    returns_received: list[str] = field(default_factory=list)
    refunds_requested: dict[str, int] = field(default_factory=dict)
    refund_positions: dict[str, int] = field(default_factory=dict)
    refunds_spared: list[str] = field(default_factory=list)
    refunds_made: Counter[str] = field(default_factory=Counter)
    refund_references: list[str] = field(default_factory=list)
    refunded_minor: int = 0
    standing: str = "pending_payment"
    status_at: dict[int, str] = field(default_factory=dict)

    @property
    def total_minor(self) -> int:
        return int(self.submitted.data["total"]["amount"])

    @property
    def status(self) -> str:
        if self.standing != "placed" or not self.shipments:
            return self.standing
        return min(self.shipments.values(), key=_PROGRESS.index)

    @property
    def is_lost(self) -> bool:
        """The goods were on their way when the provider let go of the money, as it does with this token: it is asked
        again, and people have to look.
        """
        is_over = self.captured is not None or self.released is not None or self.refused is not None
        return self.was_lost and not is_over

    @property
    def was_lost(self) -> bool:
        is_refused = self.started is not None and self.started.data["payment_token"] == REFUSING_TOKEN
        return is_refused and self.packed is not None

    @property
    def payment_status(self) -> str:
        if self.standing == "pending_payment":
            return "pending"
        if self.placed is None:
            return "failed"
        if not self.shown_captures and not self.placed.data["payment_captured"]:
            return "voided" if self.is_shown_released else "authorised"
        if self.refunded_minor == 0:
            return "captured"
        return "partially_refunded" if self.refunded_minor < self.total_minor else "refunded"

    @property
    def claims(self) -> dict[Place, int]:
        claims = self.started.data["claims"] if self.started is not None else []
        return {(claim["sku"], claim["warehouse_id"]): claim["quantity"] for claim in claims}


def read_orders(log: Mapping[str, Sequence[Event]]) -> dict[str, Order]:
    orders: dict[str, Order] = {}
    of_checkout: dict[str, Order] = {}
    for event in log.get("order", ()):
        if event.topic == "order.submitted.v1":
            shipments = {shipment["shipment_id"]: "placed" for shipment in event.data["shipments"]}
            orders[event.stream] = Order(event.stream, event, shipments)
        else:
            _take_order_event(orders[event.stream], event)
        order = orders[event.stream]
        order.status_at[event.version] = order.status
    for event in log.get("checkout", ()):
        if event.topic == "checkout.started.v1":
            found = orders.get(event.data["order_id"])
            if found is not None:
                found.started = event
                of_checkout[event.stream] = found
        elif event.stream in of_checkout:
            _take_checkout_event(of_checkout[event.stream], event)
    return orders


def _take_order_event(order: Order, event: Event) -> None:
    data = event.data
    match event.topic:
        case "order.placed.v2":
            order.placed, order.standing = event, "placed"
        case "order.payment_failed.v1":
            order.failed, order.standing = event, "payment_failed"
        case "order.cancelled.v1":
            order.cancelled, order.standing = event, "cancelled"
        case "order.payment_captured.v1":
            order.shown_captures.append((data["reference"], data["amount"]["amount"]))
        case "order.payment_released.v1":
            order.is_shown_released = True
        case "order.shipment_packed.v1":
            order.packed = order.packed or event
            others = {one: "processing" for one, status in order.shipments.items() if status == "placed"}
            order.shipments |= {**others, data["shipment_id"]: "packed"}
        case "order.shipment_shipped.v1":
            order.shipments[data["shipment_id"]] = "shipped"
        case "order.shipment_delivered.v1":
            order.shipments[data["shipment_id"]] = "delivered"
        case "order.return_requested.v1":
            order.returns[data["return_id"]] = data
        case "order.return_received.v1":
            order.returns_received.append(data["return_id"])
        case "order.refunded.v1":
            order.refunded_minor += data["amount"]["amount"]
    _settle_return(order)


def _settle_return(order: Order) -> None:
    if order.standing in ("placed", "returned") and order.returns_received:
        came_back = _units(item for id_ in order.returns_received for item in order.returns[id_]["items"])
        if came_back == _units(order.submitted.data["lines"]):
            order.standing = "refunded" if order.refunded_minor == order.total_minor else "returned"


def _take_checkout_event(order: Order, event: Event) -> None:
    data = event.data
    match event.topic:
        case "checkout.completed.v2" | "checkout.declined.v1" | "checkout.expired.v1":
            order.ended.append(event)
        case "checkout.payment_captured.v1":
            order.captured = event
            order.captures.append((data["reference"], data["amount"]["amount"]))
            order.refunds_spared += data["refund_ids"]
        case "checkout.payment_released.v1":
            order.released = event
            order.refunds_spared += data["refund_ids"]
        case "checkout.capture_refused.v1":
            order.refused = event
        case "checkout.payment_voided.v1":
            order.voided = event
        case "checkout.refund_requested.v1":
            order.refunds_requested[data["refund_id"]] = data["amount"]["amount"]
            order.refund_positions[data["refund_id"]] = event.position
        case "checkout.refund_made.v1":
            order.refunds_made[data["refund_id"]] += 1
            order.refund_references.append(data["reference"])


def broken_orders(orders: Mapping[str, Order], stock: StockBook, causes: Mapping[str, list[Event]]) -> Iterator[str]:
    for order in orders.values():
        for broken in (*_begun(order, stock, causes), *_ended(order, stock, causes), *_afterwards(order, stock)):
            yield f"order {order.id}: {broken}"


def _begun(order: Order, stock: StockBook, causes: Mapping[str, list[Event]]) -> Iterator[str]:
    if order.started is None:
        yield "has no checkout"
        return
    data = order.submitted.data
    lines_minor = sum(line["unit_price"]["amount"] * line["quantity"] for line in data["lines"])
    parts = data["subtotal"]["amount"], data["shipping_fee"]["amount"], data["tax"]["amount"]
    if sum(parts) != order.total_minor or lines_minor != parts[0] or order.started.data["amount"] != data["total"]:
        yield f"does not add up: lines {lines_minor}, {parts}, total {order.total_minor}"
    reserved = (
        {place: event.data["quantity"] for (id_, place), event in stock.reserved.items() if id_ == order.id}
        if len(order.claims)
        else {}
    )
    if reserved != order.claims:
        yield f"claims {order.claims} and has reserved {reserved}"
    yield from _one_append(causes[order.submitted.cause], "began")


def _ended(order: Order, stock: StockBook, causes: Mapping[str, list[Event]]) -> Iterator[str]:
    if len(order.ended) != 1:
        yield f"its checkout ended {len(order.ended)} times"
        return
    end = order.ended[0]
    kinds = {stock.ends[order.id, place].topic for place in order.claims if (order.id, place) in stock.ends}
    if end.topic == "checkout.completed.v2":
        if order.placed is None or order.failed is not None or kinds - {"stock.committed.v1"}:
            yield f"its checkout is completed; the order {order.standing}, its stock {kinds}"
        marks = [order.placed]
    else:
        if order.placed is not None or "stock.committed.v1" in kinds or (order.failed is order.cancelled is None):
            yield f"its checkout came to {end.topic}; the order {order.standing}, its stock {kinds}"
        marks = [order.failed or order.cancelled]
    ends = [stock.ends[order.id, place] for place in order.claims if (order.id, place) in stock.ends]
    together = sorted(event.position for event in (end, *ends, *(mark for mark in marks if mark is not None)))
    mine = [event.position for event in causes[end.cause]]
    if any(event.cause != end.cause for event in ends) or not set(together) <= set(mine):
        yield f"did not end in one append: {together}"
    is_settled = end.topic != "checkout.expired.v1" or end.data["payment_settled"]
    if not is_settled and order.voided is None and not order.refunds_requested:
        yield "nobody knows whether it was charged"


def _afterwards(order: Order, stock: StockBook) -> Iterator[str]:
    yield from _refunds(order)
    if order.placed is not None and order.cancelled is not None:
        came_back = stock.restocked.get(order.id, Counter())
        if dict(came_back) != order.claims:
            yield f"cancelled, and of {order.claims} came back {dict(came_back)}"
    elif order.id in stock.restocked:
        yield f"was not cancelled, and yet restocked: {stock.restocked[order.id]}"
    if len(order.returns_received) != len(set(order.returns_received)):
        yield f"a return came in twice: {order.returns_received}"
    for return_id, returned in order.returns.items():
        expected = _units(returned["items"]) if return_id in order.returns_received else Counter()
        restocked: Counter[str] = Counter()
        for (sku, _), quantity in stock.restocked.get(return_id, Counter()).items():
            restocked[sku] += quantity
        if restocked != expected:
            yield f"return {return_id} of {dict(expected)}, and {dict(restocked)} came back into stock"
    all_back = _units(item for returned in order.returns.values() for item in returned["items"])
    if all_back - _units(order.submitted.data["lines"]):
        yield f"more was sent back than was sent: {dict(all_back)}"


def _refunds(order: Order) -> Iterator[str]:
    """Each that was asked for was made once, or was never needed: so much less was taken."""
    if order.refused is not None:
        if order.cancelled is None or order.packed is not None or order.refunds_made:
            yield f"the capture was refused, and the order is {order.standing}, with refunds {dict(order.refunds_made)}"
        return
    ends = Counter(order.refunds_spared) + order.refunds_made
    if any(count != 1 for count in ends.values()) or not set(ends) <= set(order.refunds_requested):
        yield f"refunds asked for {sorted(order.refunds_requested)}, and made {dict(ends)}"
    if set(ends) != set(order.refunds_requested) and not order.is_lost:
        yield f"refunds asked for {sorted(order.refunds_requested)}, and made only {sorted(ends)}"


def _one_append(events: Sequence[Event], what: str) -> Iterator[str]:
    """What one cause brought about up to the first answer stands together in the log."""
    first = [event.position for event in events]
    begun = [position for offset, position in enumerate(first) if position == first[0] + offset]
    topics = Counter(event.topic for event in events[: len(begun)])
    needed = ("order.submitted.v1", "checkout.started.v1", "cart.checkout_begun.v1")
    keys_count = topics["receipt.opened.v1"] + topics["receipt.reopened.v1"]
    if keys_count != 1 or any(topics[topic] != 1 for topic in needed):
        yield f"{what} in more than one append: {first}"


def _units(items: Any) -> Counter[str]:
    units: Counter[str] = Counter()
    for item in items:
        units[item["product_id"]] += item["quantity"]
    return units


def broken_prices(products: Sequence[Event], orders: Mapping[str, Order]) -> Iterator[str]:
    """What was charged for is what the catalogue said where the order stands in the log."""
    changes = iter(products)
    change = next(changes, None)
    prices: dict[str, Any] = {}
    active: dict[str, bool] = {}
    for order in sorted(orders.values(), key=lambda order: order.submitted.position):
        while change is not None and change.position < order.submitted.position:
            _take_product_event(change, prices, active)
            change = next(changes, None)
        for line in order.submitted.data["lines"]:
            sku = line["product_id"]
            if line["unit_price"] != prices.get(sku) or not active.get(sku):
                stored = f"{prices.get(sku)}, sold: {active.get(sku)}"
                yield f"order {order.id}: {sku} at {line['unit_price']}; by the catalogue {stored}"


def _take_product_event(event: Event, prices: dict[str, Any], active: dict[str, bool]) -> None:
    sku = event.data["sku"]
    if "price" in event.data:
        prices[sku] = event.data["price"]
    if event.topic in ("product.added.v1", "product.activated.v1"):
        active[sku] = True
    elif event.topic == "product.deactivated.v1":
        active[sku] = False

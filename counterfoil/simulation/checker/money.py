"""Money, by the provider's own books: charged at most once, for a placed order, and given back where it is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from counterfoil.simulation.checker.evidence import Json
from counterfoil.simulation.checker.orders import Order


def broken_money(books: Sequence[Json], orders: Mapping[str, Order]) -> Iterator[str]:
    entries: dict[str, list[Json]] = defaultdict(list)
    for entry in books:
        entries[entry["order_id"]].append(entry)
    for order_id in entries.keys() - orders.keys():
        yield f"charged without an order: {entries[order_id]}"
    for order in orders.values():
        for broken in _of_order(order, entries.get(order.id, [])):
            yield f"order {order.id}: {broken}"


def _of_order(order: Order, entries: Sequence[Json]) -> Iterator[str]:
    charges = [entry for entry in entries if entry["kind"] == "charged"]
    refunds = [entry for entry in entries if entry["kind"] == "refunded"]
    charged = sum(entry["amount"] for entry in charges)
    net = charged - sum(entry["amount"] for entry in refunds)
    if len(charges) > 1:
        yield f"charged {len(charges)} times"
    if charges and charged != order.total_minor:
        yield f"charged {charged} for {order.total_minor}"
    if net != _due(order, charged):
        yield f"{net} was kept, and {_due(order, charged)} is due"
    if order.placed is not None and order.total_minor:
        references = [entry["reference"] for entry in charges]
        if references != [order.placed.data["payment_reference"]]:
            yield f"placed on {order.placed.data['payment_reference']}, and the provider has {references}"
    made = sorted(order.refund_references)
    if made != sorted(entry["reference"] for entry in refunds):
        yield f"refunds by the log {made}, by the books {refunds}"
    if order.placed is not None and order.refunded_minor != charged - net:
        yield f"{order.refunded_minor} was paid back by the order, {charged - net} by the books"


def _due(order: Order, charged_minor: int) -> int:
    """What the shop may keep."""
    if order.placed is None or order.cancelled is not None:
        return 0
    sent_back = (int(order.returns[return_id]["refund"]["amount"]) for return_id in order.returns_received)
    return charged_minor - sum(sent_back)

"""Money, by the provider's own books: held once, taken once and for a placed order only, let go or given back else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from counterfoil.simulation.checker.evidence import Json
from counterfoil.simulation.checker.orders import Order

# So long may a capture be on its way (one that comes twice, 20 s): who asked for it did not know of what
# was asked for since.
UNDER_WAY_LIMIT_SECONDS = 21.0


def broken_money(
    books: Sequence[Json], orders: Mapping[str, Order], committed_at_seconds: Sequence[float]
) -> Iterator[str]:
    """`committed_at_seconds`: when each row of the log was in it."""
    entries: dict[str, list[Json]] = defaultdict(list)
    for entry in books:
        entries[entry["order_id"]].append(entry)
    for order_id in entries.keys() - orders.keys():
        yield f"the provider has a payment without an order: {entries[order_id]}"
    for order in orders.values():
        account = _Account(entries.get(order.id, []))
        for broken in (*_moved(order, account, committed_at_seconds), *_noted(order, account)):
            yield f"order {order.id}: {broken}"


class _Account:
    """Of one order: the entries of each kind, and their sums in minor units."""

    def __init__(self, entries: Sequence[Json]) -> None:
        self.authorised = [entry for entry in entries if entry["kind"] == "authorised"]
        self.captured = [entry for entry in entries if entry["kind"] == "captured"]
        self.refunded = [entry for entry in entries if entry["kind"] == "refunded"]
        self.held_minor = _sum(self.authorised)
        self.taken_minor = _sum(self.captured)
        self.released_minor = _sum(entry for entry in entries if entry["kind"] == "released")
        self.returned_minor = _sum(self.refunded)


def _moved(order: Order, account: _Account, committed_at_seconds: Sequence[float]) -> Iterator[str]:
    """What the provider did is what the order calls for."""
    if len(account.authorised) > 1 or account.held_minor not in (0, order.total_minor):
        yield f"authorised {len(account.authorised)} times, {account.held_minor} for {order.total_minor}"
    if len(account.captured) > 1:
        yield f"captured {len(account.captured)} times"
    if account.taken_minor > order.total_minor:
        yield f"captured {account.taken_minor} of {order.total_minor}"
    left_minor = account.held_minor - account.taken_minor - account.released_minor
    if left_minor:
        yield f"{left_minor} stays held for ever"
    for capture in account.captured:
        if order.placed is None:
            yield f"captured {capture['amount']}, and the order was never placed"
        elif capture["at_seconds"] + 0.000_001 < committed_at_seconds[order.placed.position - 1]:
            yield f"captured {capture['amount']} before the order was placed"
        else:
            yield from _overtaken(order, capture, committed_at_seconds)
    net_minor = account.taken_minor - account.returned_minor
    if net_minor != _due(order):
        yield f"{net_minor} was kept, and {_due(order)} is due"


def _overtaken(order: Order, capture: Json, committed_at_seconds: Sequence[float]) -> Iterator[str]:
    """What was to go back by then is not taken in the first place."""
    known_by_seconds = capture["at_seconds"] - UNDER_WAY_LIMIT_SECONDS
    known_minor = sum(
        order.refunds_requested[refund_id]
        for refund_id, position in order.refund_positions.items()
        if committed_at_seconds[position - 1] < known_by_seconds
    )
    if capture["amount"] > order.total_minor - known_minor:
        yield f"captured {capture['amount']} of {order.total_minor}, when {known_minor} of it was to go back"


def _due(order: Order) -> int:
    """What the shop keeps."""
    if order.placed is None or order.cancelled is not None or order.is_lost:
        return 0
    sent_back = (int(order.returns[return_id]["refund"]["amount"]) for return_id in order.returns_received)
    return order.total_minor - sum(sent_back)


def _noted(order: Order, account: _Account) -> Iterator[str]:
    """The log says of the money what the books say."""
    if order.placed is not None and order.total_minor:
        references = [entry["reference"] for entry in account.authorised]
        if references != [order.placed.data["payment_reference"]]:
            yield f"placed on {order.placed.data['payment_reference']}, and the provider has {references}"
        captured = [(entry["reference"], entry["amount"]) for entry in account.captured]
        if order.captures != captured or order.shown_captures != captured:
            yield f"captured by the books {captured}, by the log {order.captures} and {order.shown_captures}"
        if account.taken_minor and order.refused is not None:
            yield "the log has it that the capture was refused, and it was made"
        is_over = order.released is not None or order.refused is not None or bool(order.captures)
        if not is_over and not order.is_lost:
            yield "nobody knows what became of what was held"
    made = sorted(order.refund_references)
    if made != sorted(entry["reference"] for entry in account.refunded):
        yield f"refunds by the log {made}, by the books {account.refunded}"
    spared_minor = sum(order.refunds_requested[refund_id] for refund_id in order.refunds_spared)
    let_go_minor = account.released_minor if order.captures or order.released is not None else 0
    if spared_minor != let_go_minor:
        yield f"{spared_minor} was to go back and was not taken; by the books {let_go_minor}"
    if order.refunded_minor != account.returned_minor + spared_minor:
        yield f"{order.refunded_minor} was paid back by the order, {account.returned_minor + spared_minor} by the books"


def _sum(entries: Iterator[Json] | Sequence[Json]) -> int:
    return sum(entry["amount"] for entry in entries)

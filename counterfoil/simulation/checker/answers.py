"""Answers: what a client was told is true of the log, and was in it before it was told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from counterfoil.simulation.checker.carts import CartBook
from counterfoil.simulation.checker.evidence import Asked, Event, Reply, Request, Webhook
from counterfoil.simulation.checker.orders import Order
from counterfoil.simulation.checker.receipts import ReceiptBook, Use
from counterfoil.simulation.checker.stock import StockBook

_CART = ("add", "change", "remove", "clear", "merge")
_DONE_ONCE = {
    "add": "cart.item_added.v1",
    "receive": "stock.received.v1",
    "pack": "order.shipment_packed.v1",
    "ship": "order.shipment_shipped.v1",
    "deliver": "order.shipment_delivered.v1",
    "return": "order.return_requested.v1",
    "receive_return": "order.return_received.v1",
}
_UNDECIDED = ("/problems/in-progress",)
_NOT_BEGUN = "/problems/payments-unavailable"
_EXPIRED = "/problems/idempotency-key-expired"
_TOO_MANY = "/problems/quantity-limit"


class Answers:
    def __init__(
        self,
        asked: Sequence[Asked],
        log: Sequence[Event],
        causes: Mapping[str, list[Event]],
        receipts: ReceiptBook,
        orders: Mapping[str, Order],
        stock: StockBook,
        carts: CartBook,
    ) -> None:
        self._asked = asked
        self._log_length_rows = len(log)
        self._causes = causes
        self._orders = orders
        self._stock = stock
        self._carts = carts
        self._uses = receipts.uses

    def broken(self) -> Iterator[str]:
        for asked in self._asked:
            if asked.reply is not None:
                for broken in self._of(asked, asked.reply):
                    yield f"{asked.request.id} {asked.request.kind} of {asked.request.owner}: {broken}"
        yield from self._repeats()

    def _of(self, asked: Asked, reply: Reply) -> Iterator[str]:
        request = asked.request
        own = self._causes.get(request.id, ())
        if reply.status >= 500 and reply.status != 503:
            yield f"answered with {reply.status} {reply.body}"
        elif reply.status < 300:
            if own and own[-1].position > asked.log_length_rows:
                yield f"answered at {asked.log_length_rows}, and in the log at {own[-1].position}"
            if reply.position is not None and reply.position > asked.log_length_rows:
                yield f"told position {reply.position} when the log had {asked.log_length_rows}"
            topic = _DONE_ONCE.get(request.kind)
            done_before = request.kind == "receive_return" and self._came_in_before(request, own)
            if topic is not None and sum(event.topic == topic for event in own) != (0 if done_before else 1):
                yield f"accepted, and in the log {[event.topic for event in own]}"
            if request.kind in _CART:
                yield from self._cart(reply)
            elif request.kind in ("receive", "adjust"):
                yield from self._stock_level(own, reply)
            elif "status" in reply.body and reply.version is not None and not reply.replayed:
                yield from self._order(reply)
        elif reply.status != 503 and own and request.kind not in ("check_out", "cancel"):
            yield f"refused with {reply.status}, and in the log at {own[0].position}"
        if request.kind == "check_out":
            yield from self._checkout(asked, reply)
        if reply.body.get("type") == _TOO_MANY and reply.body["taken"] + reply.body["requested"] <= reply.body["limit"]:
            yield f"refused for a limit that is not reached: {reply.body}"

    def _came_in_before(self, request: Request, own: Sequence[Event]) -> bool:
        """A return that is received again changes nothing, and is answered as it stands."""
        order = self._orders.get(str(request.fields["order_id"]))
        return not own and order is not None and request.fields["return_id"] in order.returns_received

    def _cart(self, reply: Reply) -> Iterator[str]:
        body = reply.body
        if body["cart_id"] is None:
            return
        told = {item["product_id"]: item["quantity"] for item in body["items"]}
        stored = self._carts.lines_at.get((body["cart_id"], body["version"]))
        if told != stored:
            yield f"told {told} in version {body['version']}, stored is {stored}"

    def _stock_level(self, own: Iterable[Event], reply: Reply) -> Iterator[str]:
        for event in own:
            if event.topic in ("stock.received.v1", "stock.adjusted.v1"):
                told = (reply.body["on_hand"], reply.body["reserved"])
                if self._stock.levels_at[event.stream, event.version] != told or event.version != reply.version:
                    yield f"told {told}, stored is {self._stock.levels_at[event.stream, event.version]}"

    def _order(self, reply: Reply) -> Iterator[str]:
        order = self._orders.get(reply.body["order_id"])
        if order is None:
            yield f"told of an order that is not there: {reply.body['order_id']}"
        elif order.status_at.get(reply.version or 0) != reply.body["status"]:
            yield f"told {reply.body['status']}, stored is {order.status_at.get(reply.version or 0)}"

    def _checkout(self, asked: Asked, reply: Reply) -> Iterator[str]:
        request = asked.request
        uses = self._uses.get((request.owner, request.fields["idempotency_key"]), [])
        use = _use_of(uses, reply, asked.log_length_rows)
        order = self._orders.get(use.order_id) if use is not None else None
        match reply.status:
            case 201:
                if order is None or order.id != reply.body["order_id"] or order.placed is None:
                    yield "told of a placed order that is not placed"
                elif order.placed.position > asked.log_length_rows:
                    yield f"told at {asked.log_length_rows}, and placed at {order.placed.position}"
                else:
                    yield from _total(order, request.fields, reply)
            case 202:
                if order is None or order.id != reply.body["order_id"]:
                    yield "told of a pending order that is not there"
            case 402:
                if order is None or order.placed is not None:
                    yield "told that the payment was declined, and the order is placed"
                elif self._held(order, asked.log_length_rows):
                    yield "told that the payment was declined, and stock is held"
            case 503 if reply.body.get("type") == _NOT_BEGUN:
                # A repeat may have gone further, and says so in its own name.
                own = self._causes.get(request.id, ())
                if own:
                    yield f"refused for want of payments, and in the log at {own[0].position}"
            case 409 if reply.body["type"] == _EXPIRED:
                if order is None or order.id != reply.body["order_id"]:
                    yield f"told that its key made order {reply.body['order_id']}, which it did not"
            case 409 if reply.body.get("type") not in _UNDECIDED:
                if order is not None:
                    yield f"refused with {reply.body.get('type')}, and order {order.id} is there"

    def _held(self, order: Order, log_length_rows: int) -> bool:
        ends = [self._stock.ends.get((order.id, place)) for place in order.claims]
        return any(end is None or end.position > log_length_rows for end in ends)

    def _repeats(self) -> Iterator[str]:
        """One key: one answer, whole, until it is begun anew; another body under it: never more than a refusal."""
        final: dict[tuple[str, str], list[tuple[Any, str, Reply]]] = defaultdict(list)
        for asked in self._asked:
            request, reply = asked.request, asked.reply
            if request.kind == "check_out" and reply is not None and _is_final(reply):
                key = (request.owner, request.fields["idempotency_key"])
                final[key].append((request.fields, request.id, reply))
        for key, told in final.items():
            taken = [one for one in told if one[2].status != 422 and one[2].body.get("type") != _EXPIRED]
            uses = self._uses.get(key, [])
            bodies = [
                fields for place, (fields, _, _) in enumerate(taken) if fields not in [t[0] for t in taken[:place]]
            ]
            if len(bodies) > max(len(uses), 1):
                yield f"key {key} was taken for two requests: {[id_ for _, id_, _ in taken]}"
            stored = [use.told for use in uses]
            for _, id_, reply in taken:
                if (reply.status, reply.body) not in stored:
                    yield f"key {key}: {id_} was told {reply.status} {reply.body}, stored is {stored}"


def broken_webhooks(webhooks: Sequence[tuple[Webhook, int]], orders: Mapping[str, Order]) -> Iterator[str]:
    """One that was taken has had its effect."""
    for webhook, log_length_rows in webhooks:
        order = orders.get(webhook.order_id)
        if order is None:
            continue
        effects = order.ended if webhook.type != "payment.captured" else [order.captured]
        if not any(effect is not None and effect.position <= log_length_rows for effect in effects):
            yield f"webhook {webhook.event_id} was taken, and the checkout of order {order.id} is as it was"


def _is_final(reply: Reply) -> bool:
    return reply.status != 503 and reply.status < 500 and reply.body.get("type") not in _UNDECIDED


def _use_of(uses: Sequence[Use], reply: Reply, log_length_rows: int) -> Use | None:
    """The one whose answer this is; else the one whose order it names; else the last."""
    told = [use for use in uses if use.is_told(reply.status, reply.body, log_length_rows)]
    named = [use for use in uses if use.order_id == reply.body.get("order_id")]
    return next(iter([*reversed(told), *named, *reversed(uses)]), None)


def _total(order: Order, fields: Mapping[str, Any], reply: Reply) -> Iterator[str]:
    expected = fields.get("expected_total")
    if reply.body["total"] != order.submitted.data["total"] or (expected and expected != reply.body["total"]):
        yield f"expected {expected}, told {reply.body['total']}, stored is {order.submitted.data['total']}"

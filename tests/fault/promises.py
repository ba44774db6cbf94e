"""What the clients were told, held against the log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from domain.events.order import OrderPaymentFailed, OrderPlaced
from domain.events.stock import StockReceived
from domain.identity import cart_stream, stock_stream
from tests.fault.ledger import Ledger
from tests.fault.load import Asked


def ensure_kept(ledger: Ledger, asked: Iterable[Asked]) -> None:
    """Raises AssertionError for an answer that is not stored, and for something stored that was refused."""
    for one in asked:
        if one.accepted:
            _ensure_stored(ledger, one)
        elif one.refused and one.kind != "checkout":  # a checkout's refusal is on record, in its receipt
            assert one.request_id not in ledger.by_cause, f"{one} was refused, and is stored"
        if one.kind == "checkout":
            _ensure_order(ledger, one)
        if one.kind == "receive":
            _ensure_received_once(ledger, one)


def _ensure_stored(ledger: Ledger, one: Asked) -> None:
    assert one.told is not None
    version = int(one.told.headers["ETag"].strip('"'))
    position = int(one.told.headers["Counterfoil-Position"])
    stream = ledger.by_stream[_stream_of(one, one.told.json())]
    assert len(stream) >= version, f"{one} was told version {version}, and there are {len(stream)}"
    assert stream[version - 1].position <= position
    own = ledger.by_cause.get(one.request_id, [])
    if one.kind != "checkout" and own:
        assert stream[version - 1].event.causation_id == one.request_id
        assert max(recorded.position for recorded in own) == position
    elif one.kind in ("add", "receive"):
        raise AssertionError(f"{one} was accepted, and is nowhere")


def _stream_of(one: Asked, body: Any) -> UUID:
    match one.kind:
        case "receive":
            return stock_stream(one.sku, one.owner)
        case "checkout":
            return UUID(body["order_id"])
        case _:
            assert UUID(body["cart_id"]) == cart_stream(one.owner)
            return cart_stream(one.owner)


def _ensure_order(ledger: Ledger, one: Asked) -> None:
    order_id = ledger.order_of_key(one.owner, one.key)
    if one.told is None or order_id is None:
        assert not one.accepted, f"{one} was accepted, and has no receipt"
        return
    kinds = {type(recorded.event) for recorded in ledger.by_order[order_id]}
    match one.told.status_code:
        case 201:
            assert one.told.json()["order_id"] == order_id
            assert OrderPlaced in kinds, f"order {order_id} was said to be placed"
        case 202:
            assert one.told.json()["order_id"] == order_id
            assert kinds & {OrderPlaced, OrderPaymentFailed}, f"order {order_id} was promised an outcome"
        case 402:
            assert OrderPaymentFailed in kinds, f"order {order_id} was said to have failed"


def _ensure_received_once(ledger: Ledger, one: Asked) -> None:
    received = [
        recorded.event.quantity
        for recorded in ledger.by_cause.get(one.request_id, [])
        if isinstance(recorded.event, StockReceived)
    ]
    assert received in (([one.quantity],) if one.accepted else ([], [one.quantity])), f"{one} came to {received}"

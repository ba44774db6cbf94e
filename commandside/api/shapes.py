"""The answers of the command API, for its OpenAPI page."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from commandside.audit import EVENTS_LIMIT_COUNT
from commandside.commands.fields import AddressField
from commandside.ledger import PAGE_LIMIT_EVENTS


class Money(BaseModel):
    amount: int
    currency: str


class ProductChanged(BaseModel):
    product_id: str
    version: int


class StockFigures(BaseModel):
    sku: str
    warehouse_id: str
    on_hand: int
    reserved: int
    available: int


class PricedItem(BaseModel):
    product_id: str
    title: str
    quantity: int
    unit_price: Money
    line_total: Money


class CartWarning(BaseModel):
    model_config = ConfigDict(extra="allow")
    type: str
    product_id: str


class CartAnswer(BaseModel):
    cart_id: str | None
    version: int
    items: list[PricedItem]
    subtotal: Money
    warnings: list[CartWarning]


class PaymentState(BaseModel):
    status: str
    reference: str | None


class CountedItem(BaseModel):
    product_id: str
    quantity: int


class ShipmentState(BaseModel):
    shipment_id: str
    warehouse_id: str
    status: str
    carrier: str | None = None
    tracking_number: str | None = None
    estimated_delivery: str
    items: list[CountedItem]


class ReturnState(BaseModel):
    return_id: str
    status: str
    items: list[CountedItem]
    reason: str
    refund: Money


class StatusEntry(BaseModel):
    status: str
    at: str
    by: str


class OrderAnswer(BaseModel):
    order_id: str
    version: int
    status: str
    items: list[PricedItem]
    subtotal: Money
    shipping_fee: Money
    tax: Money
    total: Money
    payment: PaymentState
    shipping_address: AddressField
    shipping_method: str
    shipments: list[ShipmentState]
    returns: list[ReturnState]
    placed_at: str | None
    history: list[StatusEntry]


class PendingOrder(BaseModel):
    order_id: str
    status: str


class LedgerEntry(BaseModel):
    kind: Literal[
        "requested",
        "authorised",
        "captured",
        "released",
        "refund_requested",
        "refunded",
        "declined",
        "expired",
        "voided",
        "capture_refused",
    ]
    amount: Money
    reference: str | None = Field(default=None, description="The provider's own name of it")
    refund_id: str | None = None
    reason: str | None = None
    at: str
    by: str
    version: int = Field(description="Of the checkout's history, `/v1/audit/checkout/{order_id}`")


class LedgerAnswer(BaseModel):
    order_id: str
    total: Money
    authorised: Money = Field(description="Of an order that was placed: what was held for it")
    captured: Money
    refunded: Money
    kept: Money = Field(description="captured less refunded")
    to_be_captured: Money
    to_be_refunded: Money
    entries: list[LedgerEntry] = Field(max_length=2 * PAGE_LIMIT_EVENTS)


class ReturnRequested(BaseModel):
    return_id: str


class AuditedEvent(BaseModel):
    version: int
    position: int
    topic: str
    recorded_at: str
    actor: str
    causation_id: str
    correlation_id: str
    data: dict[str, Any]


class AuditAnswer(BaseModel):
    kind: str
    id: str
    version: int
    state: dict[str, Any] = Field(description="As all events up to `version` made it")
    events: list[AuditedEvent] = Field(
        description="In order, up to `version`; of more than 10,000 the last 10,000", max_length=EVENTS_LIMIT_COUNT
    )

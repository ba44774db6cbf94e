"""The shapes of the answers, for the OpenAPI page. The bytes themselves come from the views."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from projections.availability import AvailabilityStatus
from projections.order import OrderStatus, PaymentStatus, ShipmentStatus
from projections.product_page import ProductStatus
from projections.vocabulary import Attribute


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Money(Shape):
    amount: Annotated[int, Field(description="minor units")]
    currency: Annotated[str, Field(description="ISO 4217")]


class Availability(Shape):
    """`quantity` is null for a service: there is nothing to count."""

    status: AvailabilityStatus
    quantity: int | None


class Product(Shape):
    product_id: str
    title: str
    description: str | None
    brand: str | None
    category: list[str]
    price: Money
    images: list[str]
    attributes: dict[str, Attribute]
    seller_id: str | None
    status: ProductStatus
    rating: Annotated[float | None, Field(ge=0, le=5)]
    review_count: int
    version: int
    updated_at: datetime
    limit_per_customer: Annotated[
        int | None, Field(description="Units that one customer can have; left out when there is no limit")
    ] = None
    availability: Availability


class LineItem(Shape):
    product_id: str
    title: str
    quantity: int
    unit_price: Money
    line_total: Money


class PriceChanged(Shape):
    type: Literal["price_changed"]
    product_id: str
    old: Money
    new: Money


class InsufficientStock(Shape):
    type: Literal["insufficient_stock"]
    product_id: str
    requested: int
    available: int


class Unavailable(Shape):
    type: Literal["unavailable"]
    product_id: str


class TotalLimit(Shape):
    """At the prices of now it comes to more than an order may: the figures are those of when the goods went in."""

    type: Literal["total_limit"]
    limit: Money


Warning = Annotated[PriceChanged | InsufficientStock | Unavailable | TotalLimit, Field(discriminator="type")]


class Cart(Shape):
    """`cart_id` is null, and the version 0, while the caller has none."""

    cart_id: str | None
    version: int
    items: list[LineItem]
    subtotal: Money
    warnings: list[Warning]


class Item(Shape):
    product_id: str
    quantity: int


class Payment(Shape):
    status: PaymentStatus
    reference: str | None


class ShippingAddress(Shape):
    name: str
    line1: str
    line2: str | None = None
    city: str
    postcode: str
    country: str


class Shipment(Shape):
    shipment_id: str
    warehouse_id: str
    status: ShipmentStatus
    carrier: str | None = None
    tracking_number: str | None = None
    estimated_delivery: datetime
    items: list[Item]


class Return(Shape):
    return_id: str
    status: Literal["requested", "received"]
    items: list[Item]
    reason: str
    refund: Money


class StatusChange(Shape):
    status: OrderStatus
    at: datetime
    by: str


class Order(Shape):
    order_id: str
    version: int
    status: OrderStatus
    items: list[LineItem]
    subtotal: Money
    shipping_fee: Money
    tax: Money
    total: Money
    payment: Payment
    shipping_address: ShippingAddress
    shipping_method: str
    shipments: list[Shipment]
    returns: list[Return]
    placed_at: datetime | None
    history: list[StatusChange]


class OrderList(Shape):
    """Newest first. `next_cursor` is null on the last page."""

    orders: list[Order]
    next_cursor: str | None


class WarehouseStock(Shape):
    warehouse_id: str
    on_hand: int
    reserved: int
    available: int


class Inventory(Shape):
    """Approximate: the exact check is made at checkout."""

    sku: str
    available: int
    warehouses: list[WarehouseStock]

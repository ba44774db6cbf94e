"""What may be asked of the write side: frozen, validated where they are made."""

from commandside.commands.cart import AddToCart, ChangeQuantity, ClearCart, MergeCarts, RemoveFromCart
from commandside.commands.catalogue import AddProduct, ChangeProduct, ProductChanges, ProductFields, RateProduct
from commandside.commands.checkout import CheckOut, CheckoutFields
from commandside.commands.inventory import AdjustStock, ReceiveStock
from commandside.commands.orders import (
    CancelOrder,
    DeliverShipment,
    PackShipment,
    ReceiveReturn,
    RequestReturn,
    ShipShipment,
)

__all__ = [
    "AddProduct",
    "AddToCart",
    "AdjustStock",
    "CancelOrder",
    "ChangeProduct",
    "ChangeQuantity",
    "CheckOut",
    "CheckoutFields",
    "ClearCart",
    "DeliverShipment",
    "MergeCarts",
    "PackShipment",
    "ProductChanges",
    "ProductFields",
    "RateProduct",
    "ReceiveReturn",
    "ReceiveStock",
    "RemoveFromCart",
    "RequestReturn",
    "ShipShipment",
]

"""`owner` is "customer:<sub>" or "guest:<session id>"."""

from __future__ import annotations

from commandside.commands.fields import Sku, Strictly, Units, UnitsOrNone


class AddToCart(Strictly):
    owner: str
    product_id: Sku
    quantity: Units


class ChangeQuantity(Strictly):
    owner: str
    product_id: Sku
    quantity: UnitsOrNone


class RemoveFromCart(Strictly):
    owner: str
    product_id: Sku


class ClearCart(Strictly):
    owner: str


class MergeCarts(Strictly):
    owner: str
    guest: str

"""The ids of streams. Derived ones are uuid5, so that a redelivery finds what it made the first time."""

from __future__ import annotations

from functools import lru_cache
from uuid import NAMESPACE_URL, UUID, uuid5

_HOUSE = uuid5(NAMESPACE_URL, "urn:counterfoil")
# Each is derived many times while its thing is being used, and a uuid5 is as dear as the rest of a small decision.
_KEPT_IDS_COUNT = 65_536


@lru_cache(maxsize=_KEPT_IDS_COUNT)
def product_stream(sku: str) -> UUID:
    return uuid5(_HOUSE, f"product:{sku}")


@lru_cache(maxsize=_KEPT_IDS_COUNT)
def stock_stream(sku: str, warehouse_id: str) -> UUID:
    return uuid5(_HOUSE, f"stock:{sku}@{warehouse_id}")


@lru_cache(maxsize=_KEPT_IDS_COUNT)
def stock_locations_stream(sku: str) -> UUID:
    return uuid5(_HOUSE, f"stock-locations:{sku}")


@lru_cache(maxsize=_KEPT_IDS_COUNT)
def cart_stream(owner: str) -> UUID:
    """`owner` is "customer:<sub>" or "guest:<session id>": each has one cart, opened anew after every checkout."""
    return uuid5(_HOUSE, f"cart:{owner}")


@lru_cache(maxsize=_KEPT_IDS_COUNT)
def checkout_stream(order_id: UUID) -> UUID:
    return uuid5(_HOUSE, f"checkout:{order_id}")


def return_id_of(order_id: UUID, idempotency_key: str) -> str:
    """So that a repetition of the request finds the return that it made the first time."""
    return str(uuid5(order_id, f"return:{idempotency_key}"))


def allowance_stream(owner: str, product_id: str) -> UUID:
    return uuid5(_HOUSE, f"allowance:{len(owner)}:{owner}:{product_id}")


def receipt_stream(owner: str, idempotency_key: str) -> UUID:
    # Both may have colons in them: without the length one owner's key could be made to meet another's.
    return uuid5(_HOUSE, f"receipt:{len(owner)}:{owner}:{idempotency_key}")

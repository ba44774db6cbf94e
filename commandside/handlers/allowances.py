"""What a shopper may have of products with a limit per customer. For those without one nothing is looked up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from commandside.aggregates import Aggregates
from domain.aggregates import Allowance, Product
from domain.errors import QuantityLimit
from domain.identity import allowance_stream
from domain.values import Cause


@dataclass(frozen=True, slots=True)
class Taking:
    """What an order is to take. `is_first`: the allowance is none of the log's yet."""

    allowance: Allowance
    quantity: int
    limit: int
    is_first: bool


def takings(
    aggregates: Aggregates, owner: str, wanted: Sequence[tuple[Product, int]], cause: Cause
) -> tuple[Taking, ...]:
    """One for each product that has a limit. Nothing has happened yet. Raises QuantityLimit."""
    limited = [(product.sku, units, limit) for product, units in wanted if (limit := product.limit_per_customer)]
    found = {one.product_id: one for one in allowances_of(aggregates, owner, [sku for sku, _, _ in limited])}
    for sku, quantity, limit in limited:
        taken = found[sku].taken_beside(None) if sku in found else 0
        if taken + quantity > limit:
            raise QuantityLimit(sku, quantity, limit, taken)
    return tuple(
        Taking(found.get(sku) or Allowance.open(owner, sku, cause), quantity, limit, sku not in found)
        for sku, quantity, limit in limited
    )


def take(aggregates: Aggregates, takings: Sequence[Taking], order_id: str, cause: Cause) -> tuple[str, ...]:
    """Returns the products that were taken of."""
    for taking in takings:
        if taking.is_first:
            aggregates.add(taking.allowance)
        taking.allowance.take(order_id, taking.quantity, taking.limit, cause)
    return tuple(taking.allowance.product_id for taking in takings)


def ensure_allowed(
    aggregates: Aggregates, owner: str, product: Product, quantity: int, running_order_id: str | None
) -> None:
    """That so many units in the cart, with those that were had before, are within the limit. Raises QuantityLimit.

    What the cart's own checkout has taken is still in the cart, and is not counted twice.
    """
    limit = product.limit_per_customer
    if limit is not None:
        held = allowances_of(aggregates, owner, [product.sku])
        taken = sum(allowance.taken_beside(running_order_id) for allowance in held)
        if taken + quantity > limit:
            raise QuantityLimit(product.sku, quantity, limit, taken)


def allowances_of(aggregates: Aggregates, owner: str, product_ids: Collection[str]) -> tuple[Allowance, ...]:
    """Those that there are."""
    return tuple(aggregates.find_all(Allowance, allowance_streams(owner, product_ids)).values())


def allowance_streams(owner: str, product_ids: Collection[str]) -> list[UUID]:
    return [allowance_stream(owner, product_id) for product_id in product_ids]

"""What a command may be refused for. Each refusal carries the figures that its caller needs to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from domain.values.money import Money


class DomainError(Exception):
    """A rule said no. `slug` is stable and names the rule; `figures` are plain JSON values or domain values."""

    slug: ClassVar[str]

    def __init__(self, detail: str, **figures: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.figures = figures


class NotFound(DomainError):
    """There is no such thing, or it is not the caller's: the two look alike on purpose."""

    slug = "not-found"

    def __init__(self, what: str, which: str) -> None:
        super().__init__(f"There is no {what} {which!r}.", what=what, id=which)


class RuleBroken(DomainError):
    """The state of things does not allow it."""

    slug = "rule-broken"


class ProductExists(RuleBroken):
    slug = "product-exists"

    def __init__(self, product_id: str) -> None:
        super().__init__(f"Product {product_id!r} is there already.", product_id=product_id)


class ProductUnavailable(RuleBroken):
    slug = "product-unavailable"

    def __init__(self, product_id: str) -> None:
        super().__init__(f"Product {product_id!r} is not sold at present.", product_id=product_id)


class InsufficientStock(RuleBroken):
    slug = "insufficient-stock"

    def __init__(self, product_id: str, requested: int, available: int) -> None:
        super().__init__(
            f"{requested} of {product_id!r} were asked for and {available} can be had.",
            product_id=product_id,
            requested=requested,
            available=available,
        )


class BelowReserved(RuleBroken):
    slug = "below-reserved"

    def __init__(self, sku: str, warehouse_id: str, on_hand: int, reserved: int, quantity_delta: int) -> None:
        super().__init__(
            f"{on_hand} of {sku!r} are on hand at {warehouse_id!r} and {reserved} of them reserved: "
            f"an adjustment by {quantity_delta} would go below that.",
            on_hand=on_hand,
            reserved=reserved,
            quantity_delta=quantity_delta,
        )


class QuantityLimit(RuleBroken):
    """`taken` is what the same customer's other orders of the product have of the limit."""

    slug = "quantity-limit"

    def __init__(self, product_id: str, requested: int, limit: int, taken: int = 0) -> None:
        had = f" and {taken} were had before" if taken else ""
        super().__init__(
            f"At most {limit} of {product_id!r}; {requested} were asked for{had}.",
            product_id=product_id,
            requested=requested,
            limit=limit,
            taken=taken,
        )


class CurrencyMismatch(RuleBroken):
    slug = "currency-mismatch"

    def __init__(self, expected: str, given: str) -> None:
        super().__init__(f"Amounts in {expected} and {given} cannot be put together.", expected=expected, given=given)


class EmptyCart(RuleBroken):
    slug = "empty-cart"

    def __init__(self) -> None:
        super().__init__("There is nothing in the cart.")


class PriceChanged(RuleBroken):
    slug = "price-changed"

    def __init__(self, old: Money, new: Money) -> None:
        super().__init__("The total is not the one that was expected.", old=old, new=new)


class TotalLimit(RuleBroken):
    """`total` is told in words: as a figure it may be larger than JSON carries exactly."""

    slug = "total-limit"

    def __init__(self, total: Money, limit: Money) -> None:
        super().__init__(
            f"It comes to {total.amount} minor units of {total.currency}, and {limit.amount} is the most.", limit=limit
        )


class CheckoutInProgress(RuleBroken):
    slug = "in-progress"

    def __init__(self, order_id: str | None = None) -> None:
        super().__init__("A checkout of this is still running.", **({"order_id": order_id} if order_id else {}))


class ReservationEnded(RuleBroken):
    """A reservation is released or committed exactly once; this one is not (or no longer) held."""

    slug = "reservation-ended"

    def __init__(self, reservation_id: str) -> None:
        super().__init__(f"Reservation {reservation_id!r} is not held.", reservation_id=reservation_id)


class InvalidTransition(RuleBroken):
    slug = "invalid-transition"

    def __init__(self, what: str, status: str, wanted: str) -> None:
        super().__init__(f"The {what} is {status}: it cannot be {wanted}.", current_status=status, wanted=wanted)


class NotReturnable(RuleBroken):
    slug = "not-returnable"


class KeyReused(DomainError):
    slug = "idempotency-key-reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used before with another body.")


class KeyExpired(RuleBroken):
    """An order was made under this key. Its answer is no longer kept, and yet the key never buys again."""

    slug = "idempotency-key-expired"

    def __init__(self, order_id: str) -> None:
        super().__init__(
            f"This Idempotency-Key was used for order {order_id!r}: a new purchase needs a new key.", order_id=order_id
        )


class StaleVersion(DomainError):
    slug = "stale-version"

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(
            f"If-Match says version {expected}; the current one is {actual}.", expected=expected, actual=actual
        )

"""What an order comes to: its lines, shipping, and tax on top where the shop's prices are without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.errors import RuleBroken, TotalLimit
from domain.values import TOTAL_LIMIT_MINOR, Money, OrderLine


@dataclass(frozen=True, slots=True)
class ShippingMethod:
    """`fee_minor` is in minor units of the order's currency; `delivery_days` is what is promised."""

    name: str
    fee_minor: int
    delivery_days: int


@dataclass(frozen=True, slots=True)
class Tariff:
    """What the shop adds to its prices. `tax_basis_points`: hundredths of a per cent of the lines, 0 if included."""

    shipping_methods: Mapping[str, ShippingMethod]
    default_shipping_method: str
    tax_basis_points: int = 0

    def shipping_method(self, name: str | None) -> ShippingMethod:
        """Raises UnknownShippingMethod."""
        wanted = name or self.default_shipping_method
        if wanted not in self.shipping_methods:
            raise UnknownShippingMethod(wanted, sorted(self.shipping_methods))
        return self.shipping_methods[wanted]


@dataclass(frozen=True, slots=True)
class Totals:
    """`subtotal` + `shipping_fee` + `tax` = `total`."""

    subtotal: Money
    shipping_fee: Money
    tax: Money
    total: Money


class UnknownShippingMethod(RuleBroken):
    slug = "unknown-shipping-method"

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"There is no shipping method {name!r}.", known=known)


def price(lines: Sequence[OrderLine], method: ShippingMethod, tariff: Tariff) -> Totals:
    """The totals of at least one line. Tax is rounded half up to the minor unit, once, over all lines.

    Raises CurrencyMismatch, TotalLimit.
    """
    currency = lines[0].unit_price.currency
    subtotal = Money.total((line.line_total for line in lines), currency)
    shipping_fee = Money(method.fee_minor, currency)
    tax = Money((subtotal.amount * tariff.tax_basis_points + 5_000) // 10_000, currency)
    total = subtotal + shipping_fee + tax
    ensure_within_limit(total)
    return Totals(subtotal, shipping_fee, tax, total)


def ensure_within_limit(total: Money) -> None:
    """Raises TotalLimit for what no order may come to."""
    if total.amount > TOTAL_LIMIT_MINOR:
        raise TotalLimit(total, Money(TOTAL_LIMIT_MINOR, total.currency))

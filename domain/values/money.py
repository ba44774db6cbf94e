from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domain.errors import CurrencyMismatch

TOTAL_LIMIT_MINOR = 10**12  # of an order: what the payment provider takes at once


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An exact amount: integer minor units (pence, cents) of one ISO 4217 currency.

    Arithmetic between two currencies raises CurrencyMismatch; there is no implicit conversion.
    """

    amount: int
    currency: str

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same_currency(other).amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same_currency(other).amount, self.currency)

    def __mul__(self, quantity: int) -> Money:
        return Money(self.amount * quantity, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same_currency(other).amount

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same_currency(other).amount

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(0, currency)

    @classmethod
    def total(cls, amounts: Iterable[Money], currency: str) -> Money:
        """The sum of `amounts`, zero of `currency` when there are none. Raises CurrencyMismatch."""
        running = cls.zero(currency)
        for amount in amounts:
            running = running + amount
        return running

    def _same_currency(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise CurrencyMismatch(self.currency, other.currency)
        return other

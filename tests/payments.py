from __future__ import annotations

from commandside.payments.port import Payment
from domain.values import Money

AMOUNT = Money(1999, "GBP")


def a_payment(key: str = "key", token: str = "tok_ok", amount: Money = AMOUNT, order_id: str = "order") -> Payment:
    return Payment(key, amount, token, order_id)

from __future__ import annotations

import hashlib
import re
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, StringConstraints

from commandside.commands.fields import AddressField, MoneyField, ShortLine, Strictly, one_line


def _no_card_number(token: str) -> str:
    """What is stored stays for ever, and a card's number must not: 12 to 19 digits, of which the last is right."""
    digits = re.sub("[ -]", "", token)
    if re.fullmatch("[0-9]{12,19}", digits):
        doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
        if sum(sum(divmod(number, 10)) for number in doubled) % 10 == 0:
            raise ValueError("This is the number of a card; only a token of it may come here")
    return token


PaymentToken = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(one_line), AfterValidator(_no_card_number)
]
IdempotencyKey = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$")]


class CheckoutFields(Strictly):
    shipping_address: AddressField
    payment_token: PaymentToken
    expected_total: MoneyField | None = None
    shipping_method: ShortLine | None = None

    def fingerprint(self) -> str:
        """The same for bodies that say the same."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class CheckOut(Strictly):
    """`order_id` is new: the same request again finds the first one's by its receipt."""

    owner: str
    idempotency_key: IdempotencyKey
    order_id: UUID
    wanted: CheckoutFields

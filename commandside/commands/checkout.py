from __future__ import annotations

import hashlib
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, StringConstraints

from commandside.commands.fields import AddressField, MoneyField, ShortLine, Strictly, one_line

PaymentToken = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(one_line)]
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

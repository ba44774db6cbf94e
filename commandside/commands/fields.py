"""The forms of the values that commands are made of. Whatever passes here can be stored, indexed and shown."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, StringConstraints

from domain.aggregates.cart import QUANTITY_LIMIT_UNITS
from domain.values import Address, Item, Money

# JSON numbers stay exact in every client up to here (RFC 8259, section 6).
EXACT_INTEGER_LIMIT = 2**53 - 1
AMOUNT_LIMIT_MINOR = 10**12
STOCK_LIMIT_UNITS = 10**9


def _printable(text: str) -> str:
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t":
            raise ValueError("must not contain control characters")
    return text


def one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("must be one line")
    return _printable(text)


def _no_integer(value: object) -> object:
    """One that is too large to be exact would otherwise pass for a fraction, and be rounded."""
    if isinstance(value, int):
        raise ValueError("is a whole number")
    return value


Sku = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$")]
WarehouseId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$")]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300), AfterValidator(one_line)]
ShortLine = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(one_line)
]
Prose = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_printable)]
ImageUrl = Annotated[
    str, StringConstraints(pattern=r"^https?://[^\s<>\"]{1,2000}$", max_length=2_000), AfterValidator(one_line)
]
Units = Annotated[int, Strict(), Field(ge=1, le=QUANTITY_LIMIT_UNITS)]
UnitsOrNone = Annotated[int, Strict(), Field(ge=0, le=QUANTITY_LIMIT_UNITS)]
StockUnits = Annotated[int, Strict(), Field(ge=1, le=STOCK_LIMIT_UNITS)]
StockDelta = Annotated[int, Strict(), Field(ge=-STOCK_LIMIT_UNITS, le=STOCK_LIMIT_UNITS)]
AttributeName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(one_line)
]
AttributeValue = (
    Annotated[bool, Strict()]
    | Annotated[int, Strict(), Field(ge=-EXACT_INTEGER_LIMIT, le=EXACT_INTEGER_LIMIT)]
    | Annotated[float, Strict(), Field(allow_inf_nan=False), BeforeValidator(_no_integer)]
    | Annotated[str, StringConstraints(max_length=1_000), AfterValidator(_printable)]
)


class Strictly(BaseModel):
    """Frozen; a field that is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MoneyField(Strictly):
    """Integer minor units and an ISO 4217 code."""

    amount: Annotated[int, Strict(), Field(ge=0, le=AMOUNT_LIMIT_MINOR)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]

    def value(self) -> Money:
        return Money(self.amount, self.currency)


class AddressField(Strictly):
    name: ShortLine
    line1: Line
    line2: Line | None = None
    city: ShortLine
    postcode: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20), AfterValidator(one_line)
    ]
    country: ShortLine

    def value(self) -> Address:
        return Address(**self.model_dump())


class ItemField(Strictly):
    product_id: Sku
    quantity: Units

    def value(self) -> Item:
        return Item(self.product_id, self.quantity)

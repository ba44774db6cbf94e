from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from commandside.commands.fields import (
    AttributeName,
    AttributeValue,
    ImageUrl,
    Line,
    MoneyField,
    Prose,
    ShortLine,
    Sku,
    Strictly,
    Units,
)

Category = Annotated[tuple[ShortLine, ...], Field(min_length=1, max_length=8)]
Attributes = Annotated[dict[AttributeName, AttributeValue], Field(max_length=50)]
Images = Annotated[tuple[ImageUrl, ...], Field(max_length=20)]


class ProductFields(Strictly):
    sku: Sku
    title: Line
    description: Prose | None = None
    brand: ShortLine | None = None
    category: Category
    price: MoneyField
    attributes: Attributes = Field(default_factory=dict)
    images: Images = ()
    seller_id: ShortLine | None = None
    limit_per_customer: Units | None = None


class AddProduct(ProductFields):
    """A new entry of the catalogue. A `service` has no stock."""

    kind: Literal["goods", "service"] = "goods"


class ProductChanges(Strictly):
    """What is left out stays. null takes away what may be absent."""

    title: Line = ""
    description: Prose | None = None
    brand: ShortLine | None = None
    category: Category = ()
    price: MoneyField | None = None
    attributes: Attributes = Field(default_factory=dict)
    images: Images = ()
    seller_id: ShortLine | None = None
    limit_per_customer: Units | None = None
    status: Literal["active", "inactive"] = "active"


class ChangeProduct(Strictly):
    sku: Sku
    changes: ProductChanges


class RateProduct(Strictly):
    """What a review system outside says of a product."""

    sku: Sku
    rating_hundredths: Annotated[int, Strict(), Field(ge=0, le=500)]
    review_count: Annotated[int, Strict(), Field(ge=0, le=10**9)]

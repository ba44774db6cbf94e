"""A row of a catalogue's file, as commands. docs/importing.md names the columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from pydantic import ValidationError

from commandside.commands import AddProduct, RateProduct, ReceiveStock
from domain.values import minor_digits

COLUMNS: Final = (
    "sku", "title", "description", "brand", "category", "price", "currency", "price_minor", "image_urls", "attributes",
    "seller_id", "kind", "limit_per_customer", "rating", "review_count", "warehouse_id", "quantity", "stock",
)  # fmt: skip
ATTRIBUTE_PREFIX: Final = "attributes."


class BadRow(Exception):
    """Why a row is no product."""


@dataclass(frozen=True, slots=True)
class ProductRow:
    """`given` are the fields of the product that the file has: of one that is there already the others stay."""

    add: AddProduct
    given: frozenset[str]
    rate: RateProduct | None
    stock: tuple[ReceiveStock, ...]


def unknown_columns(header: Sequence[str]) -> list[str]:
    return [name for name in header if name not in COLUMNS and not name.startswith(ATTRIBUTE_PREFIX)]


def parse(values: Mapping[str, Any], default_currency: str) -> ProductRow:
    """Of a JSON object, or of a CSV row, whose values are all text. Raises BadRow."""
    unknown = unknown_columns(list(values))
    if unknown:
        raise BadRow(f"unknown: {', '.join(unknown)}")
    fields: dict[str, Any] = {"sku": _text(values, "sku"), "title": _text(values, "title")}
    for name in ("description", "brand", "seller_id"):
        if name in values:
            fields[name] = _text(values, name) or None
    if "category" in values:
        fields["category"] = _category(values["category"])
    if "image_urls" in values:
        fields["images"] = _images(values["image_urls"])
    attributes = _attributes(values)
    if attributes is not None:
        fields["attributes"] = attributes
    fields["price"] = _price(values, default_currency)
    if kind := _text(values, "kind"):
        fields["kind"] = kind
    if "limit_per_customer" in values:
        limit = values["limit_per_customer"]
        fields["limit_per_customer"] = None if limit in (None, "") else _whole("limit_per_customer", limit)
    given = frozenset(fields) - {"sku"}
    try:
        add = AddProduct.model_validate(fields)
        rate = _rating(values, add.sku)
        stock = tuple(ReceiveStock(sku=add.sku, **each) for each in _stock(values))
    except ValidationError as error:
        raise BadRow("; ".join(_fault(fault) for fault in error.errors(include_url=False))) from error
    if stock and add.kind == "service":
        raise BadRow("a service has no stock")
    return ProductRow(add, given, rate, stock)


def _fault(fault: Any) -> str:
    where = ".".join(str(part) for part in fault["loc"] if part not in ("str", "int", "float", "bool"))
    return f"{where}: {fault['msg']}" if where else str(fault["msg"])


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRow(f"{name}: must be text, not {value!r}")
    return value.strip()


def _category(value: Any) -> tuple[str, ...]:
    r"""A list, or a path with / between the steps; \/ is a slash within one, \\ a backslash."""
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, str):
        raise BadRow(f"category: must be a path or a list, not {value!r}")
    steps = re.findall(r"(?:\\.|[^/\\]|\\$)+", value)
    return tuple(re.sub(r"\\([/\\])", r"\1", step).strip() for step in steps)


def _images(value: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(value)
    if value is None or isinstance(value, str):
        return tuple((value or "").replace("|", " ").split())
    raise BadRow(f"image_urls: must be addresses with spaces between them, or a list, not {value!r}")


def _attributes(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """None where the file has none; a column that is empty in this row is no attribute of this product."""
    columns = {name: value for name, value in values.items() if name.startswith(ATTRIBUTE_PREFIX)}
    whole = values.get("attributes")
    if isinstance(whole, str):
        raise BadRow("attributes: must be an object; in CSV, a column attributes.<name> for each")
    if not columns and whole is None:
        return None
    named = {name.removeprefix(ATTRIBUTE_PREFIX): value for name, value in columns.items() if value not in ("", None)}
    return {**(whole or {}), **named}


def _price(values: Mapping[str, Any], default_currency: str) -> dict[str, Any]:
    currency = _text(values, "currency") or default_currency
    minor, major = values.get("price_minor"), values.get("price")
    if minor not in (None, "") and major not in (None, ""):
        raise BadRow("price: either price or price_minor, not both")
    if minor not in (None, ""):
        return {"amount": _whole("price_minor", minor), "currency": currency}
    if major in (None, ""):
        raise BadRow("price: is missing")
    amount = _number("price", major).scaleb(minor_digits(currency))
    if amount != amount.to_integral_value():
        raise BadRow(f"price: {major} is finer than {currency} goes")
    return {"amount": int(amount), "currency": currency}


def _rating(values: Mapping[str, Any], sku: str) -> RateProduct | None:
    rating, count = values.get("rating"), values.get("review_count")
    if rating in (None, "") and count in (None, ""):
        return None
    if rating in (None, "") or count in (None, ""):
        raise BadRow("rating and review_count: come together")
    stars = _number("rating", rating)
    if not 0 <= stars <= 5:
        raise BadRow(f"rating: is from 0 to 5, not {rating}")
    return RateProduct(sku=sku, rating_hundredths=round(stars * 100), review_count=_whole("review_count", count))


def _stock(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Opening stock: one warehouse in a row's columns, several in a JSON list. None of it: nothing to receive."""
    listed = values.get("stock")
    if listed in (None, ""):
        listed = []
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise BadRow("stock: must be a list of {warehouse_id, quantity}; in CSV, the columns of these names")
    places = [{**each} for each in listed]
    warehouse_id, quantity = _text(values, "warehouse_id"), values.get("quantity")
    if warehouse_id or quantity not in (None, ""):
        if not warehouse_id or quantity in (None, ""):
            raise BadRow("warehouse_id and quantity: come together")
        places.append({"warehouse_id": warehouse_id, "quantity": quantity})
    for place in places:
        place["quantity"] = _whole("quantity", place.get("quantity"))
    return [place for place in places if place["quantity"] != 0]


def _whole(name: str, value: Any) -> int:
    number = _number(name, value)
    if number != number.to_integral_value():
        raise BadRow(f"{name}: {value} is not a whole number")
    return int(number)


def _number(name: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadRow(f"{name}: {value!r} is not a number")
    text = str(value).strip()
    if re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", text) is None:
        raise BadRow(f"{name}: {value!r} is not a number")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise BadRow(f"{name}: {value!r} is not a number") from error

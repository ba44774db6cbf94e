"""Where an answer leads: the links of the OpenAPI page, from each answer to what can be asked with it next.

Those to the query API carry the position of the command, so that who follows one reads what was just written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Link:
    """From the answers with `status` of the operations `after` to `to`: an operation of this page, by its id."""

    after: tuple[str, ...]
    to: str
    parameters: dict[str, str]
    status: int = 200
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkToQuery:
    """`to` is a path of the query API, which is another page; `name` says what is found there."""

    after: tuple[str, ...]
    to: str
    name: str
    parameters: dict[str, str]
    status: int = 200


_ANSWER: Final = "$response.body#"
_ORDER: Final = {"order_id": f"{_ANSWER}/order_id"}
_SHIPMENT: Final = _ORDER | {"shipment_id": f"{_ANSWER}/shipments/0/shipment_id"}
_CREATED: Final = f"{_ANSWER}/product_id"
_STOCKED: Final = f"{_ANSWER}/sku"
_FIRST_ITEM: Final = f"{_ANSWER}/items/0/product_id"
_POSITION: Final = {"Min-Position": "$response.header.Counterfoil-Position"}

_CART_FILLED: Final = ("add_item", "change_quantity", "merge")
_CART_CHANGES: Final = (*_CART_FILLED, "remove_item", "clear")
_STOCK_CHANGES: Final = ("receive_stock", "adjust_stock")
_ORDER_CHANGES: Final = ("cancel", "pack", "ship", "deliver", "receive_return")

LINKS: Final = (
    Link(("add_product",), "change_product", {"product_id": _CREATED}, 201),
    Link(("add_product",), "receive_stock", {"sku": _CREATED}, 201),
    Link(("add_product",), "read_audit", {"kind": "product", "public_id": _CREATED}, 201),
    Link(("receive_stock",), "adjust_stock", {"sku": _STOCKED}, body={"warehouse_id": f"{_ANSWER}/warehouse_id"}),
    Link(_STOCK_CHANGES, "add_item", {}, body={"product_id": _STOCKED}),
    Link(_CART_FILLED, "change_quantity", {"product_id": _FIRST_ITEM}),
    Link(_CART_FILLED, "remove_item", {"product_id": _FIRST_ITEM}),
    Link(_CART_FILLED, "clear", {}),
    Link(("add_item",), "merge", {}),
    Link(_CART_FILLED, "check_out", {}),
    Link(("add_item",), "read_audit", {"kind": "cart", "public_id": f"{_ANSWER}/cart_id"}),
    Link(("check_out",), "cancel", _ORDER, 201),
    Link(("check_out",), "read_ledger", _ORDER, 201),
    Link(_ORDER_CHANGES, "read_ledger", _ORDER),
    Link(("check_out",), "cancel", _ORDER, 202),
    Link(("check_out",), "pack", _SHIPMENT, 201),
    Link(("check_out",), "read_audit", {"kind": "order", "public_id": f"{_ANSWER}/order_id"}, 201),
    Link(("pack",), "pack", _ORDER | {"shipment_id": f"{_ANSWER}/shipments/1/shipment_id"}),
    Link(("pack",), "ship", _SHIPMENT),
    Link(("ship",), "deliver", _SHIPMENT),
    Link(
        ("ship", "deliver"),
        "request_return",
        _ORDER,
        body={"items": [{"product_id": _FIRST_ITEM, "quantity": f"{_ANSWER}/items/0/quantity"}]},
    ),
    Link(
        ("request_return",),
        "receive_return",
        {"order_id": "$request.path.order_id", "return_id": f"{_ANSWER}/return_id"},
        201,
    ),
)

LINKS_TO_QUERY: Final = (
    LinkToQuery(("add_product",), "/v1/products/{product_id}", "product", {"product_id": _CREATED} | _POSITION, 201),
    LinkToQuery(("change_product",), "/v1/products/{product_id}", "product", {"product_id": _CREATED} | _POSITION),
    LinkToQuery(("add_product",), "/v1/search", "search", {"q": "$request.body#/title"}, 201),
    LinkToQuery(("add_product",), "/v1/suggest", "suggestions", {"q": "$request.body#/title"}, 201),
    LinkToQuery(("add_product",), "/v1/categories", "categories", _POSITION, 201),
    LinkToQuery(("add_product",), "/v1/categories/{path}", "category", {"path": "$request.body#/category/0"}, 201),
    LinkToQuery(_STOCK_CHANGES, "/v1/inventory/{sku}", "stock", {"sku": _STOCKED} | _POSITION),
    LinkToQuery(_CART_CHANGES, "/v1/cart", "cart", _POSITION),
    LinkToQuery(("check_out",), "/v1/orders/{order_id}", "order", _ORDER | _POSITION, 201),
    LinkToQuery(("check_out",), "/v1/orders/{order_id}", "order", _ORDER | _POSITION, 202),
    LinkToQuery(("check_out",), "/v1/orders", "orders", _POSITION, 201),
    LinkToQuery(_ORDER_CHANGES, "/v1/orders/{order_id}", "order", _ORDER | _POSITION),
)


def described(query_url: str) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """By operation id and status, the links of that answer, by name (OpenAPI 3.1, 4.8.20)."""
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for link in LINKS:
        shown: dict[str, Any] = {"operationId": link.to}
        if link.parameters:
            shown["parameters"] = link.parameters
        if link.body:
            shown["requestBody"] = link.body
        for operation in link.after:
            found.setdefault((operation, str(link.status)), {})[link.to] = shown
    for elsewhere in LINKS_TO_QUERY:
        pointer = elsewhere.to.replace("~", "~0").replace("/", "~1")
        shown = {
            "operationRef": f"{query_url}/openapi.json#/paths/{pointer}/get",
            "parameters": elsewhere.parameters,
            "server": {"url": query_url},
        }
        for operation in elsewhere.after:
            found.setdefault((operation, str(elsewhere.status)), {})[f"see_{elsewhere.name}"] = shown
    return found

from __future__ import annotations

from dataclasses import replace
from typing import Any

from commandside.aggregates import Aggregates
from commandside.commands import AddProduct, ChangeProduct, ProductChanges, RateProduct
from commandside.handlers.context import Answer, Context
from domain.aggregates import Product
from domain.errors import NotFound, ProductExists
from domain.identity import product_stream
from domain.values import ProductDetails


def add_product(aggregates: Aggregates, command: AddProduct, context: Context) -> Answer:
    """Raises ProductExists."""
    if aggregates.find(Product, product_stream(command.sku)) is not None:
        raise ProductExists(command.sku)
    details = ProductDetails(
        title=command.title,
        category=command.category,
        description=command.description,
        brand=command.brand,
        attributes=dict(command.attributes),
        images=command.images,
        seller_id=command.seller_id,
        kind=command.kind,
    )
    product = Product.add(command.sku, details, command.price.value(), context.cause)
    product.limit(command.limit_per_customer, context.cause)
    aggregates.add(product)
    return _answer(product)


def change_product(aggregates: Aggregates, command: ChangeProduct, context: Context) -> Answer:
    """Raises NotFound, StaleVersion, CurrencyMismatch."""
    product = _existing(aggregates, command.sku)
    context.ensure_current(product)
    changes = command.changes
    # The one change that may be refused comes first, so that a refusal leaves nothing half done.
    if changes.price is not None:
        product.reprice(changes.price.value(), context.cause)
    product.revise(replace(product.details, **_details_given(changes)), context.cause)
    if "limit_per_customer" in changes.model_fields_set:
        product.limit(changes.limit_per_customer, context.cause)
    if "status" in changes.model_fields_set:
        change = product.activate if changes.status == "active" else product.deactivate
        change(context.cause)
    return _answer(product)


def rate_product(aggregates: Aggregates, command: RateProduct, context: Context) -> Answer:
    """Raises NotFound."""
    product = _existing(aggregates, command.sku)
    product.rate(command.rating_hundredths, command.review_count, context.cause)
    return _answer(product)


def _details_given(changes: ProductChanges) -> dict[str, Any]:
    names = changes.model_fields_set & ProductDetails.__dataclass_fields__.keys()
    return {name: getattr(changes, name) for name in names}


def _existing(aggregates: Aggregates, sku: str) -> Product:
    product = aggregates.find(Product, product_stream(sku))
    if product is None:
        raise NotFound("product", sku)
    return product


def _answer(product: Product) -> Answer:
    return Answer(product.version, {"product_id": product.sku, "version": product.version})

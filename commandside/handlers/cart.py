from __future__ import annotations

from commandside.aggregates import Aggregates
from commandside.commands import AddToCart, ChangeQuantity, ClearCart, MergeCarts, RemoveFromCart
from commandside.handlers.allowances import ensure_allowed
from commandside.handlers.context import Answer, Context, Shop
from commandside.handlers.stock_on_hand import stock_of
from commandside.representations import cart as cart_body
from commandside.representations import empty_cart
from domain.aggregates import Cart, Product
from domain.errors import InsufficientStock, NotFound
from domain.identity import cart_stream, product_stream, stock_locations_stream
from domain.pricing import ensure_within_limit
from domain.values import CartLine, Money


def add_to_cart(aggregates: Aggregates, command: AddToCart, context: Context, shop: Shop) -> Answer:
    """Raises NotFound, ProductUnavailable, InsufficientStock, QuantityLimit, TotalLimit, CurrencyMismatch,
    StaleVersion.

    Enough must be in stock now; it is not reserved before checkout.
    """
    aggregates.load(
        [cart_stream(command.owner), product_stream(command.product_id), stock_locations_stream(command.product_id)]
    )
    cart = aggregates.find(Cart, cart_stream(command.owner))
    product = aggregates.find(Product, product_stream(command.product_id))
    if product is None:
        raise NotFound("product", command.product_id)
    products = _products_in(aggregates, cart)
    context.ensure_current(cart)
    product.ensure_sold()
    held = cart.lines.get(command.product_id) if cart is not None else None
    quantity = command.quantity + (held.quantity if held else 0)
    ensure_allowed(aggregates, command.owner, product, quantity, cart.checkout_order_id if cart is not None else None)
    _ensure_in_stock(aggregates, product, quantity)
    line = CartLine(product.sku, product.details.title, command.quantity, product.price)
    if cart is None:
        cart = Cart.open(command.owner, context.cause)
        aggregates.add(cart)
    cart.add(line, context.cause)
    return _answer(cart, {**products, product.sku: product}, shop)


def change_quantity(aggregates: Aggregates, command: ChangeQuantity, context: Context, shop: Shop) -> Answer:
    """Raises NotFound, InsufficientStock, QuantityLimit, TotalLimit, StaleVersion."""
    cart = aggregates.find(Cart, cart_stream(command.owner))
    products = _products_in(aggregates, cart)
    context.ensure_current(cart)
    if cart is None or (command.product_id not in cart.lines and command.quantity > 0):
        raise NotFound("item in the cart", command.product_id)
    if command.product_id in cart.lines and command.quantity > cart.lines[command.product_id].quantity:
        product = products[command.product_id]
        product.ensure_sold()
        ensure_allowed(aggregates, command.owner, product, command.quantity, cart.checkout_order_id)
        _ensure_in_stock(aggregates, product, command.quantity)
    cart.change_quantity(command.product_id, command.quantity, context.cause)
    return _answer(cart, products, shop)


def remove_from_cart(aggregates: Aggregates, command: RemoveFromCart, context: Context, shop: Shop) -> Answer:
    """What is not in the cart is removed already. Raises StaleVersion; TotalLimit, where what is left is too dear."""
    cart = aggregates.find(Cart, cart_stream(command.owner))
    products = _products_in(aggregates, cart)
    context.ensure_current(cart)
    if cart is not None:
        cart.remove(command.product_id, context.cause)
    return _answer(cart, products, shop)


def clear_cart(aggregates: Aggregates, command: ClearCart, context: Context, shop: Shop) -> Answer:
    """Raises StaleVersion."""
    cart = aggregates.find(Cart, cart_stream(command.owner))
    context.ensure_current(cart)
    if cart is not None:
        cart.clear(context.cause)
    return _answer(cart, {}, shop)


def merge_carts(aggregates: Aggregates, command: MergeCarts, context: Context, shop: Shop) -> Answer:
    """A guest without a cart brings nothing. Raises CheckoutInProgress, CurrencyMismatch, TotalLimit, StaleVersion."""
    aggregates.load([cart_stream(command.owner), cart_stream(command.guest)])
    cart = aggregates.find(Cart, cart_stream(command.owner))
    guest = aggregates.find(Cart, cart_stream(command.guest))
    products = _products_in(aggregates, cart) | _products_in(aggregates, guest)
    context.ensure_current(cart)
    if guest is not None and guest.lines:
        if cart is None:
            cart = Cart.open(command.owner, context.cause)
            aggregates.add(cart)
        cart.merge(guest, context.cause)
    return _answer(cart, products, shop)


def _products_in(aggregates: Aggregates, cart: Cart | None) -> dict[str, Product]:
    found = aggregates.find_all(Product, [product_stream(sku) for sku in cart.lines]) if cart is not None else {}
    return {product.sku: product for product in found.values()}


def _ensure_in_stock(aggregates: Aggregates, product: Product, quantity: int) -> None:
    if product.stocked:
        stock = stock_of(aggregates, [product.sku])[product.sku]
        there = sum(item.available for item in stock.values())
        if quantity > there:
            raise InsufficientStock(product.sku, quantity, there)


def _answer(cart: Cart | None, products: dict[str, Product], shop: Shop) -> Answer:
    """At the prices of now. Raises TotalLimit where they come to more than an order may: then nothing is done."""
    if cart is None:
        return Answer(0, empty_cart(shop.currency))
    body = cart_body(cart, products, shop.currency)
    ensure_within_limit(Money(**body["subtotal"]))
    return Answer(cart.version, body)

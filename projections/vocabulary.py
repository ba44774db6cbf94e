"""The words of the domain that readers of the views need, so that they depend on the projections alone."""

from domain.identity import cart_stream, product_stream, stock_stream
from domain.values import TOTAL_LIMIT_MINOR, Attribute, CartLine, Money

__all__ = ["TOTAL_LIMIT_MINOR", "Attribute", "CartLine", "Money", "cart_stream", "product_stream", "stock_stream"]

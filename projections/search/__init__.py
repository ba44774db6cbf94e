"""What can be searched for: products with their stock, ratings and sales, in tables that are made for it."""

from projections.search.projection import SearchProjection, open_search_projection

__all__ = ["SearchProjection", "open_search_projection"]

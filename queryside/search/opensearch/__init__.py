"""Search on OpenSearch, where there is one."""

from queryside.search.opensearch.engine import OpenSearch, open_opensearch_search

__all__ = ["OpenSearch", "open_opensearch_search"]

"""The connection to OpenSearch, bounded in number and time."""

from __future__ import annotations

from typing import Final

from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import ConnectionError as Unreachable
from opensearchpy.exceptions import TransportError

_TOO_BUSY_STATUS: Final = 429


def open_opensearch(url: str, *, max_connections: int = 16, timeout_seconds: float = 1.0) -> AsyncOpenSearch:
    """A client; `close()` it. It repeats nothing: whoever calls knows whether that is of use.

    Its calls raise opensearchpy's TransportError.
    """
    return AsyncOpenSearch(
        hosts=[url], timeout=timeout_seconds, maxsize=max_connections, max_retries=0, retry_on_timeout=False
    )


def is_outage(error: TransportError) -> bool:
    """Whether the server is away or overloaded, rather than unwilling to do what it was asked."""
    if isinstance(error, Unreachable):
        return True
    return not isinstance(error.status_code, int) or error.status_code == _TOO_BUSY_STATUS or error.status_code >= 500

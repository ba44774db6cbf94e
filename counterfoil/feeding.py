"""The feed of OpenSearch, beside a process that keeps the search tables up with the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from streams.metrics import ProjectorMetrics

if TYPE_CHECKING:
    from projections.search.opensearch_feed import SearchFeed

CONNECTIONS_LIMIT_COUNT = 4
TIMEOUT_SECONDS = 10.0


@asynccontextmanager
async def search_feed(
    database_url: str, opensearch_url: str | None, metrics: ProjectorMetrics
) -> AsyncIterator[SearchFeed | None]:
    """None where there is no OpenSearch. Any number of processes may run one: a single one feeds at a time."""
    if opensearch_url is None:
        yield None
        return
    # Late: the client is large, and most shops have no OpenSearch.
    from projections.search.opensearch_client import open_opensearch  # noqa: PLC0415
    from projections.search.opensearch_feed import SearchFeed  # noqa: PLC0415

    client = open_opensearch(opensearch_url, max_connections=CONNECTIONS_LIMIT_COUNT, timeout_seconds=TIMEOUT_SECONDS)
    feed = SearchFeed(database_url, client)
    for gauge, attribute in ((metrics.position, "position"), (metrics.behind_seconds, "behind_seconds")):
        gauge.labels(feed.name).set_function(partial(getattr, feed, attribute))
    try:
        yield feed
    finally:
        await client.close()

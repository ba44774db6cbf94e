"""How long a search takes on Postgres, and how fast its tables are filled.

    python -m bench.search --server-url postgresql://user@host:port/postgres --products 100000

Makes the database counterfoil_bench_search on that server, anew unless --keep, and leaves it there.
One search at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from decimal import Decimal
from statistics import quantiles
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo

from bench.products import recorded_catalogue
from domain.events import AnyEvent
from projections.search import open_search_projection, schema
from queryside.search import SearchEngine, SearchQuery
from queryside.search.postgres import open_postgres_search

DATABASE = "counterfoil_bench_search"

CASES = {
    "two words": SearchQuery("red lamp"),
    "a common word": SearchQuery("red"),
    "a common word, its beginning": SearchQuery("ligh"),
    "a common word, four filters": SearchQuery(
        "red", category=("Home",), brands=("Nobolaben", "Dovarider"), price_min=1000, min_rating=Decimal(3)
    ),
    "a word in seven of eight products": SearchQuery("day"),
    "misspelt": SearchQuery("vintge lampp"),
    "not there": SearchQuery("xylophonist"),
    "an exclusion": SearchQuery("lamp -red"),
    "category": SearchQuery(category=("Home", "Lamps")),
    "category, rating, in stock": SearchQuery(category=("Home",), min_rating=Decimal(4), in_stock=True),
    "brand": SearchQuery(brands=("Nobolaben",)),
    "everything, relevance": SearchQuery(),
    "everything, price_asc": SearchQuery(sort="price_asc"),
    "everything, price_desc": SearchQuery(sort="price_desc"),
    "everything, rating": SearchQuery(sort="rating"),
    "everything, newest": SearchQuery(sort="newest"),
    "everything, bestselling": SearchQuery(sort="bestselling"),
    "a common word, by price": SearchQuery("red", sort="price_asc"),
}
DEEP_PAGES_COUNT = 50


class NoStreams:
    """The catalogue comes in order: no stream is read again."""

    async def read_stream(self, stream_id: UUID, after_version: int, limit: int) -> Sequence[AnyEvent]:
        raise NotImplementedError(stream_id)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--server-url", required=True)
    arguments.add_argument("--products", type=int, default=100_000)
    arguments.add_argument("--rounds", type=int, default=60)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--keep", action="store_true", help="search what an earlier run left")
    given = arguments.parse_args()
    url = make_conninfo(given.server_url, dbname=DATABASE)
    if not given.keep:
        _make_database(given.server_url, url)
        asyncio.run(_fill(url, given.products, given.seed))
    asyncio.run(_search(url, given.rounds))


def _make_database(server_url: str, url: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE}".encode())
        connection.execute(f"CREATE DATABASE {DATABASE}".encode())
    with psycopg.connect(url) as connection:
        for step in schema.STEPS:
            connection.execute(step.encode())


async def _fill(url: str, products_count: int, seed: int) -> None:
    events_count, seconds = 0, 0.0
    async with open_search_projection(url, NoStreams()) as projection:
        for batch in recorded_catalogue(products_count, seed):
            begun = time.perf_counter()
            await projection.apply(batch, batch[-1].position)
            seconds += time.perf_counter() - begun
            events_count += len(batch)
    print(f"filled: {products_count:,} products, {events_count:,} events, {events_count / seconds:,.0f} events/s")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


async def _search(url: str, rounds: int) -> None:
    print(f"| search | found | p50 ms | p99 ms |\n| --- | ---: | ---: | ---: |   ({rounds} rounds)")
    async with open_postgres_search(url) as engine:
        cases = CASES | {f"page {DEEP_PAGES_COUNT} of a common word": await _deep(engine)}
        for name, query in cases.items():
            total = (await engine.search(query)).total
            milliseconds = []
            for _ in range(rounds):
                begun = time.perf_counter()
                await engine.search(query)
                milliseconds.append((time.perf_counter() - begun) * 1000)
            percentiles = quantiles(milliseconds, n=100, method="inclusive")
            print(f"| {name} | {total:,} | {percentiles[49]:.0f} | {percentiles[98]:.0f} |", flush=True)


async def _deep(engine: SearchEngine) -> SearchQuery:
    query = SearchQuery("red")
    for _ in range(DEEP_PAGES_COUNT - 1):
        query = SearchQuery("red", cursor=(await engine.search(query)).next_cursor)
    return query


if __name__ == "__main__":
    main()

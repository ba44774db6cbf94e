"""`counterfoil status`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec
import psycopg
import redis.exceptions
from msgspec import Struct
from opensearchpy.exceptions import TransportError
from psycopg_pool import PoolTimeout
from rich.console import Console
from rich.table import Table

from counterfoil.embedded.running import NotRunningError, find_running
from counterfoil.processes.rebuild import open_stores
from counterfoil.stored_form import event_mapper
from projections.search.opensearch_client import open_opensearch
from projections.search.opensearch_feed import SearchFeed
from projections.search.opensearch_index import Names
from projections.search.opensearch_state import IndexState
from streams.notifications import projection as notifications
from streams.signals import sales_projection as sales
from streams.status import (
    BEHIND_LIMIT_EVENTS,
    Consumer,
    beside_views_status,
    index_status,
    log_end,
    others_status,
    views_status,
)

if TYPE_CHECKING:
    from counterfoil.settings import Settings

ANSWER_TIMEOUT_SECONDS: Final = 3.0
BESIDE_VIEWS: Final = (sales.NAME, notifications.NAME)


class Asked(Struct, frozen=True):
    """A part or a store: `says` is what is the matter, None when all is well."""

    name: str
    address: str
    says: str | None


class Status(Struct, frozen=True):
    """`log_position` is None when Postgres does not answer."""

    log_position: int | None
    consumers: list[Consumer]
    parts: list[Asked]


def main(settings: Settings, *, as_json: bool) -> int:
    """0 when everything answers, 1 when something does not."""
    found = asyncio.run(ask(settings))
    if as_json:
        print(msgspec.json.encode(found).decode())
    else:
        _show(found, Console())
    return 1 if any(part.says for part in found.parts) else 0


async def ask(settings: Settings) -> Status:
    """Everything at once; what does not answer within a few seconds is said to be so."""
    stores, parts = await asyncio.gather(_ask_stores(settings), _ask_parts(settings))
    return Status(stores.log_position, stores.consumers, [*stores.parts, *parts])


async def _ask_stores(settings: Settings) -> Status:
    mapper, now = event_mapper(settings), datetime.now(UTC)
    position, consumers, trouble = None, list[Consumer](), dict[str, str]()
    async with open_stores(settings) as (client, pool):
        try:
            async with pool.connection() as connection:
                position = await log_end(connection)
                names = ["search"] + (["relay"] if settings.kafka_url else [])
                try:
                    consumers += await views_status(connection, client, mapper, now)
                    consumers += await beside_views_status(connection, client, BESIDE_VIEWS, mapper, now)
                except (redis.exceptions.RedisError, OSError) as error:
                    trouble["valkey"] = _said(error)
                consumers += await others_status(connection, names, mapper, now)
                if settings.opensearch_url is not None:
                    try:
                        indexed = await _indexed_position(settings.opensearch_url)
                        consumers.append(await index_status(connection, SearchFeed.name, indexed, mapper, now))
                    except (TransportError, OSError) as error:
                        trouble["opensearch"] = _said(error)
        except (psycopg.Error, PoolTimeout) as error:
            trouble["postgres"] = _said(error)
            try:
                await client.ping()
            except (redis.exceptions.RedisError, OSError) as away:
                trouble["valkey"] = _said(away)
    asked = [
        Asked("postgres", _without_password(settings.database_url), trouble.get("postgres")),
        Asked("valkey", _without_password(settings.redis_url), trouble.get("valkey")),
    ]
    if settings.opensearch_url is not None:
        asked.append(Asked("opensearch", _without_password(settings.opensearch_url), trouble.get("opensearch")))
    return Status(position, consumers, asked)


async def _indexed_position(opensearch_url: str) -> int:
    """Up to where all can be found in OpenSearch. Raises TransportError."""
    client = open_opensearch(opensearch_url, max_connections=1, timeout_seconds=ANSWER_TIMEOUT_SECONDS)
    try:
        return await IndexState(client, Names()).live_position()
    finally:
        await client.close()


async def _ask_parts(settings: Settings) -> list[Asked]:
    """Those of the shop that runs on this data folder; those of a shop elsewhere are for whoever watches that."""
    try:
        shop = find_running(settings)
    except NotRunningError:
        return []
    addresses = {
        "command-api": shop.command_url,
        "query-api": shop.query_url,
        "projector": f"http://{settings.host}:{settings.projector_port}",
    }
    if settings.payments == "builtin":
        addresses["provider"] = shop.provider_url
    for name in ("relay", "worker"):
        if name in shop.pids:
            addresses[name] = f"http://{settings.host}:{getattr(settings, f'{name}_port')}"
    async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_SECONDS) as client:
        return list(await asyncio.gather(*(_ask_part(client, name, url) for name, url in addresses.items())))


async def _ask_part(client: httpx.AsyncClient, name: str, url: str) -> Asked:
    try:
        answer = await client.get(f"{url}/readyz")
    except httpx.TransportError as error:
        return Asked(name, url, f"does not answer ({_said(error)})")
    if answer.status_code == httpx.codes.OK:
        return Asked(name, url, None)
    try:
        missing: Any = answer.json().get("missing")
    except ValueError:
        missing = None
    return Asked(name, url, f"is not ready: {', '.join(missing) if missing else answer.status_code}")


def _show(found: Status, console: Console) -> None:
    consumers = Table("consumer", "generation", "position", "events behind", "lag", "fed", "set aside")
    for column in consumers.columns[1:]:
        column.justify = "right"
    for each in found.consumers:
        more = " or more" if each.events_behind >= BEHIND_LIMIT_EVENTS else ""
        consumers.add_row(
            each.name,
            _or_nothing(each.generation),
            f"{each.position:,}",
            f"{each.events_behind:,}{more}",
            f"{each.lag_seconds:,.1f} s",
            {True: "yes", False: "no", None: ""}[each.fed],
            _or_nothing(each.streams_set_aside),
        )
    parts = Table("part", "address", "")
    for part in found.parts:
        parts.add_row(part.name, part.address, f"[red]{part.says}[/red]" if part.says else "ready")
    end = "is not known" if found.log_position is None else f"is at {found.log_position:,}"
    console.print(f"The end of the log {end}.", highlight=False)
    console.print(consumers)
    console.print(parts)


def _or_nothing(number: int | None) -> str:
    return "" if number is None else str(number)


def _said(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _without_password(url: str | None) -> str:
    scheme, _, rest = (url or "").partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"

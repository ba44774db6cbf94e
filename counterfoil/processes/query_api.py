"""The query API's process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from counterfoil.embedded.errors import CannotStartError
from counterfoil.http.dress import dress
from counterfoil.http.problems import Translations
from counterfoil.http.serve import serve
from projections.valkey import open_redis
from queryside.api import Readers, create_app
from queryside.errors import QueryError
from queryside.search.postgres import open_postgres_search
from queryside.views import Views

if TYPE_CHECKING:
    from counterfoil.settings import Settings

TRANSLATIONS: Translations = {QueryError: lambda error: error}
REDIS_CONNECTIONS_LIMIT_COUNT = 16


def main(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C. Raises CannotStartError when it is not told where to read from."""
    app = create_app(open_readers(settings), currency=settings.currency)

    async def valkey_answers() -> None:
        await app.state.views.ping()

    async def search_answers() -> None:
        await app.state.search.position()

    dress(
        app,
        settings,
        TRANSLATIONS,
        needs={"valkey": valkey_answers},
        wants={"search": search_answers},
        registry=CollectorRegistry(),
    )
    serve(app, settings.host, settings.query_port)


@asynccontextmanager
async def open_readers(settings: Settings) -> AsyncIterator[Readers]:
    if settings.database_url is None or settings.redis_url is None:
        raise CannotStartError("There is nothing to read from: set DATABASE_URL and REDIS_URL, or start the shop.")
    async with (
        open_redis(settings.redis_url, max_connections=REDIS_CONNECTIONS_LIMIT_COUNT) as client,
        open_postgres_search(settings.database_url) as engine,
    ):
        yield Readers(Views(client), engine)

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from counterfoil.http.dress import dress
from counterfoil.processes.query_api import TRANSLATIONS
from counterfoil.settings import Settings
from queryside.api import Readers, create_app
from queryside.order_changes import OrderLog
from queryside.search.engine import SearchEngine
from queryside.views import Views
from tests.unit.command_api.conftest import Clock
from tests.unit.command_api.shop import CommandShop
from tests.unit.http.apis import Away


@pytest.fixture
async def query_api(tmp_path: Path) -> AsyncIterator[FastAPI]:
    @asynccontextmanager
    async def readers() -> AsyncIterator[Readers]:
        yield Readers(cast(Views, Away()), cast(SearchEngine, Away()), cast(OrderLog, Away()))

    settings = Settings(var=tmp_path)
    app = dress(create_app(readers()), settings, TRANSLATIONS, {}, {}, CollectorRegistry())
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def command_api(tmp_path: Path) -> AsyncIterator[FastAPI]:
    async with CommandShop(tmp_path, Clock()).running() as shop:
        yield shop.app


@pytest.fixture(params=["command_api", "query_api"])
def app(request: pytest.FixtureRequest) -> FastAPI:
    """Each of the two APIs, as its process serves it."""
    found: FastAPI = request.getfixturevalue(request.param)
    return found

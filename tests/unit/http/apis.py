"""A browser on an application in this process, and what an API reads from that does not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from queryside.errors import StoreUnavailable


class Away:
    """Stands for what is read from: whatever it is asked, it does not answer."""

    def __getattr__(self, name: str) -> object:
        async def ask(*_: object, **__: object) -> object:
            raise StoreUnavailable(f"{name} is not answered.")

        return ask


@asynccontextmanager
async def browser(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop", timeout=10) as client:
        yield client

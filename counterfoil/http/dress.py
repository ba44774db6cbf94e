"""Puts on an API what both wear. Afterwards it is ready to be served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.types import ASGIApp

from counterfoil.http import docs, problems
from counterfoil.http.doors import Bounded, Identified, Measured
from counterfoil.http.identity import Sessions, Tokens
from counterfoil.http.problems import FaultsOfOurs, Translations
from counterfoil.settings import Settings

Check = Callable[[], Awaitable[None]]
CHECK_TIMEOUT_SECONDS = 2.0


def dress(
    app: FastAPI,
    settings: Settings,
    translations: Translations,
    needs: Mapping[str, Check],
    wants: Mapping[str, Check],
    registry: CollectorRegistry,
    *,
    front: Callable[[ASGIApp], ASGIApp] = lambda framework: framework,
) -> FastAPI:
    """`needs` are dependencies without which the process is not ready; without one it `wants` it works, degraded.

    A check raises when its dependency does not answer. `front` may answer what comes through the doors before the
    framework has to do with it.
    """
    app.router.redirect_slashes = False  # it would lead to whatever host the request names
    problems.install(app, translations)
    _add_health(app, needs, wants, registry)
    docs.install(app)
    tokens = Tokens(settings.jwt_secret.get_secret_value(), settings.jwks_url)
    sessions = Sessions(settings.session_secret.get_secret_value(), secure=settings.cookie_secure)
    app.add_middleware(FaultsOfOurs)  # in here too: the framework answers what it does not know in its own way
    framework = app.build_middleware_stack

    def doors() -> ASGIApp:
        identified = Identified(front(framework()), tokens, sessions)
        return Measured(FaultsOfOurs(Bounded(identified, settings.body_limit_bytes)), registry)

    app.build_middleware_stack = doors  # type: ignore[method-assign]
    return app


def _add_health(
    app: FastAPI, needs: Mapping[str, Check], wants: Mapping[str, Check], registry: CollectorRegistry
) -> None:
    @app.get("/healthz", tags=["operations"])
    async def healthz() -> dict[str, str]:
        """The process lives."""
        return {"status": "alive"}

    @app.get("/readyz", tags=["operations"], responses={503: {"description": "Those that do not answer are listed"}})
    async def readyz() -> JSONResponse:
        """Its dependencies answer."""
        missing, degraded = await asyncio.gather(_failing(needs), _failing(wants))
        body: dict[str, Any] = {"status": "unready" if missing else "ready", "missing": missing, "degraded": degraded}
        return JSONResponse(body, 503 if missing else 200)

    @app.get("/metrics", tags=["operations"], response_class=Response)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def _failing(checks: Mapping[str, Check]) -> list[str]:
    async def fails(check: Check) -> bool:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await check()
        except Exception:  # whatever it is, the answer is that it does not answer
            return True
        return False

    results = await asyncio.gather(*(fails(check) for check in checks.values()))
    return [name for name, failed in zip(checks, results, strict=True) if failed]

"""The page of an API at `/docs`, whole without the internet: Swagger UI comes from a package, not from a CDN."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

PAGE: Final = "/docs"
_SCRIPT, _STYLE, _ICON = _ASSETS = "swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"


def install(app: FastAPI) -> None:
    """Adds the page and what it loads, and has `/` lead there. The app is one without a page of its own."""
    assets = StaticFiles(packages=[("fastapi_swagger", "resources")])

    async def page(_: Request) -> Response:
        # Relative, so that they hold behind a proxy's prefix too.
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url=f"docs/{_SCRIPT}",
            swagger_css_url=f"docs/{_STYLE}",
            swagger_favicon_url=f"docs/{_ICON}",
            swagger_ui_parameters={"validatorUrl": None},  # it would send the description to a server of others
        )

    async def asset(request: Request) -> Response:
        name: str = request.path_params["name"]
        if name not in _ASSETS:
            raise HTTPException(404)
        return await assets.get_response(name, request.scope)

    async def home(request: Request) -> Response:
        return RedirectResponse(request.scope.get("root_path", "").rstrip("/") + PAGE, 307)

    app.add_route("/", home, methods=["GET"], include_in_schema=False)
    app.add_route(PAGE, page, methods=["GET"], include_in_schema=False)
    app.add_route(f"{PAGE}/{{name}}", asset, methods=["GET"], include_in_schema=False)

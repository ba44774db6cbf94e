"""Each API's page needs nothing from the internet."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest
from fastapi import FastAPI

from tests.unit.http.apis import browser

LOADED = re.compile(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""")
TYPES = {".js": "text/javascript", ".css": "text/css", ".png": "image/png", ".json": "application/json"}


async def test_the_page_loads_nothing_from_elsewhere(app: FastAPI) -> None:
    async with browser(app) as client:
        page = (await client.get("/docs")).raise_for_status()
    assert app.title in page.text
    assert "//" not in re.sub(r"^\s*//.*$|<!--.*-->", "", page.text, flags=re.MULTILINE)


async def test_all_that_the_page_loads_is_there(app: FastAPI) -> None:
    async with browser(app) as client:
        loaded = [script or data for script, data in LOADED.findall((await client.get("/docs")).text)]
        assert {urljoin("/docs", path) for path in loaded} == {
            "/docs/swagger-ui-bundle.js",
            "/docs/swagger-ui.css",
            "/docs/favicon-32x32.png",
            "/openapi.json",
        }
        for path in loaded:
            answer = await client.get(urljoin("/docs", path))
            assert answer.status_code == 200
            kind = answer.headers["Content-Type"].partition(";")[0]
            assert kind == TYPES[path[path.rindex(".") :]]


async def test_its_style_loads_nothing_further(app: FastAPI) -> None:
    async with browser(app) as client:
        style = (await client.get("/docs/swagger-ui.css")).text
    assert ".swagger-ui" in style
    assert [url for url in re.findall(r"url\(([^)]*)\)", style) if not url.strip("\"'").startswith("data:")] == []
    assert "@import" not in style


async def test_its_script_can_show_the_description_that_it_is_given(app: FastAPI) -> None:
    async with browser(app) as client:
        script = (await client.get("/docs/swagger-ui-bundle.js")).text
        described = (await client.get("/openapi.json")).json()["openapi"]
    version = re.search(r'PACKAGE_VERSION:"(\d+)\.', script)
    assert version is not None
    assert described.startswith("3.1.")
    assert int(version[1]) >= 5, "OpenAPI 3.1 is read by Swagger UI from 5 on"


async def test_a_browser_that_has_it_is_not_sent_it_again(app: FastAPI) -> None:
    async with browser(app) as client:
        etag = (await client.get("/docs/swagger-ui-bundle.js")).headers["ETag"]
        again = await client.get("/docs/swagger-ui-bundle.js", headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


async def test_the_root_leads_to_the_page(app: FastAPI) -> None:
    async with browser(app) as client:
        answer = await client.get("/")
        assert (answer.status_code, answer.headers["Location"]) == (307, "/docs")
        assert (await client.get("/", follow_redirects=True)).headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("name", ["__init__.py", "..", "%2e%2e", "%2e%2e%2fmain.py", "%00", "x" * 1_000, "index.html"])
async def test_nothing_else_is_served(app: FastAPI, name: str) -> None:
    async with browser(app) as client:
        answer = await client.get(f"/docs/{name}", follow_redirects=False)
    assert answer.status_code in {307, 404}  # a client makes "/" of "/docs/..", which leads to the page
    assert "Location" not in answer.headers or answer.headers["Location"] == "/docs"


async def test_no_other_page_is_left_that_loads_from_elsewhere(app: FastAPI) -> None:
    async with browser(app) as client:
        assert (await client.get("/redoc")).status_code == 404
        assert (await client.get("/docs/oauth2-redirect")).status_code == 404

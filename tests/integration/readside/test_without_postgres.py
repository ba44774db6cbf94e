"""Postgres goes down and comes back: reads go on, commands are refused, and both go on by themselves afterwards."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from counterfoil.embedded import standalone
from counterfoil.processes import migrate
from counterfoil.settings import Settings
from tests.integration.readside.shop import MemoryShop, product, stock
from tests.integration.readside.test_processes import process
from tests.waiting import eventually


@pytest.mark.timeout(240)
@pytest.mark.long
async def test_reads_go_on_and_commands_are_refused(redis_url: str, shop: MemoryShop, tmp_path: Path) -> None:
    await shop.happened(product(), stock())
    with tempfile.TemporaryDirectory(prefix="counterfoil-test-postgres-") as folder, ExitStack() as servers:
        postgres = servers.enter_context(ExitStack())
        database_url = postgres.enter_context(standalone.postgres(Path(folder)))
        migrate.main(Settings(database_url=database_url, var=tmp_path / "var"))
        environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "COUNTERFOIL_VAR": str(tmp_path / "var")}
        commands, _ = servers.enter_context(
            process("command-api", "COUNTERFOIL_COMMAND_PORT", tmp_path / "1", **environment)
        )
        queries, _ = servers.enter_context(
            process("query-api", "COUNTERFOIL_QUERY_PORT", tmp_path / "2", **environment)
        )
        async with httpx.AsyncClient(timeout=60) as client:

            async def answers() -> tuple[int, int, int]:
                """Of a command for a product that nobody sells, a product page, a search."""
                item = {"product_id": "none", "quantity": 1}
                try:
                    command = await client.post(f"{commands}/v1/cart/items", json=item)
                    page = await client.get(f"{queries}/v1/products/lamp")
                    search = await client.get(f"{queries}/v1/search")
                except httpx.TransportError:
                    return 0, 0, 0
                return command.status_code, page.status_code, search.status_code

            await eventually(answers, lambda told: told == (404, 200, 200))
            postgres.close()
            assert await eventually(answers, lambda told: told[0] == 503) == (503, 200, 503)
            refused = await client.post(f"{commands}/v1/cart/items", json={"product_id": "none", "quantity": 1})
            assert int(refused.headers["retry-after"]) > 0
            assert refused.headers["content-type"] == "application/problem+json"
            assert (await client.get(f"{queries}/readyz")).json()["degraded"] == ["search"]
            assert postgres.enter_context(standalone.postgres(Path(folder))) == database_url
            await eventually(answers, lambda told: told == (404, 200, 200))

"""The provider's books, the read side, and the command as it is typed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from commandside.payments.http_provider import HttpPaymentProvider
from commandside.payments.port import Payment
from counterfoil.doctor import provider
from counterfoil.payment_provider.books import Books
from counterfoil.processes.provider import BOOKS
from domain.values import Money
from projections.valkey import open_redis
from streams.dead_letters import DeadLetter, RedisDeadLetters
from tests.contract.payments.provider_process import ProviderProcess
from tests.fixtures.ports import free_port
from tests.integration.doctor.conftest import Surgery
from tests.integration.doctor.test_checkouts import bought, pending
from tests.waiting import eventually

TIMEOUT_SECONDS = 60


async def test_a_webhook_that_nobody_takes(surgery: Surgery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ProviderProcess(tmp_path / "provider") as process:
        async with HttpPaymentProvider(process.url) as over_http:
            await over_http.authorise(Payment(key := str(uuid4()), Money(1999, "GBP"), "tok_webhook", key))

        async def waiting() -> int:
            return int((await asyncio.to_thread(process.books))["webhooks"]["waiting"])

        await eventually(waiting, lambda count: count == 1)
        assert await surgery.found(provider_url=process.url) == {}, "it is not old yet"
        monkeypatch.setattr(provider, "WEBHOOK_WITHIN", timedelta(0))
        assert await surgery.found(provider_url=process.url) == {"webhook-waiting": 1}

        await asyncio.to_thread(process.stop)
        books = Books(tmp_path / "provider" / BOOKS)
        (delivery,) = books.due_deliveries(time.time() + 3_600, 2)
        books.not_delivered(delivery.event_id, None)
        books.close()
        await asyncio.to_thread(process.start)
        assert await surgery.found(provider_url=process.url) == {"webhook-abandoned": 1}


async def test_the_built_in_provider_is_not_asked_where_stripe_takes_the_money(surgery: Surgery) -> None:
    async with surgery.shop():
        pass

    examination = await surgery.examine(payments="stripe", stripe_api_key="sk_test_1", stripe_webhook_secret="whsec_1")

    assert [away for away in examination.not_asked if away.startswith("provider: ")] == [
        "provider: of webhooks that wait, Stripe's own dashboard tells"
    ]


async def test_events_that_could_not_be_applied(surgery: Surgery, redis_url: str) -> None:
    async with surgery.shop(is_open_now=True) as shop:
        await bought(shop, "ada")
    assert await surgery.found(redis_url=redis_url) == {}
    async with open_redis(redis_url) as client:
        letters = RedisDeadLetters(client)
        letter, applied = (DeadLetter(1, uuid4(), 1, "order.placed.v1", "does not fit") for _ in range(2))
        await letters.put("search", letter)
        await letters.put("search", applied)
        await letters.take_back("search", applied.stream_id)

        examination = await surgery.examine(redis_url=redis_url)

        found = {finding.check.name: finding.troubles for finding in examination.findings if finding.count}
        assert {name: [trouble.what for trouble in troubles] for name, troubles in found.items()} == {
            "dead-letter": [f"search, stream {letter.stream_id}"]
        }
        await letters.drop("search", letter.stream_id)
        assert await surgery.found(redis_url=redis_url) == {"dead-letter": 1}, "its stream is set aside all the same"
    assert [away.partition(":")[0] for away in examination.not_asked] == ["provider", "kafka"]


async def test_views_and_search_that_are_behind(surgery: Surgery, redis_url: str) -> None:
    async with surgery.shop() as shop:
        await bought(shop, "ada")
    examination = await surgery.examine(redis_url=redis_url)
    (behind,) = [finding for finding in examination.findings if finding.count]
    assert behind.check.name == "consumer-behind"
    assert {trouble.what for trouble in behind.troubles} == {"product", "stock", "cart", "order", "search"}


async def test_a_valkey_that_is_away_is_named_and_the_log_looked_at(surgery: Surgery) -> None:
    async with surgery.shop() as shop:
        await pending(shop)
    examination = await surgery.examine(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    assert examination.count == 3
    assert any(away.startswith("valkey: ") for away in examination.not_asked)


class Shell:
    def __init__(self, surgery: Surgery) -> None:
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERFOIL_")}
        self._environment |= {"COUNTERFOIL_VAR": str(surgery.var), "COUNTERFOIL_PROVIDER_URL": surgery.nobody}

    async def doctor(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Status, output, errors."""
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "counterfoil", "doctor", *arguments],
            env=self._environment | environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def shell(surgery: Surgery) -> Shell:
    return Shell(surgery)


async def test_typed_where_all_is_well(surgery: Surgery, shell: Shell) -> None:
    code, out, err = await shell.doctor(DATABASE_URL=surgery.database_url)
    assert (code, err) == (0, "")
    assert "There is nothing." in out
    assert "Not asked: valkey" in out
    code, out, _ = await shell.doctor("--json", DATABASE_URL=surgery.database_url)
    told = json.loads(out)
    assert (code, told["healthy"]) == (0, True)
    assert all(check["count"] == 0 and check["bound"] and check["advice"] for check in told["checks"])
    assert {"checkouts", "stock", "carts", "receipts"} <= set(told["seconds"])


async def test_typed_where_something_is_old(surgery: Surgery, shell: Shell) -> None:
    async with surgery.shop() as shop:
        order_id = await pending(shop)
    code, out, err = await shell.doctor(DATABASE_URL=surgery.database_url)
    assert (code, err) == (1, "")
    assert f"order {order_id}: started, of customer:ada, since " in out
    assert "3 things are older than they may be." in out
    code, out, _ = await shell.doctor("--json", DATABASE_URL=surgery.database_url)
    checks = {check["check"]: check for check in json.loads(out)["checks"]}
    assert code == 1
    assert checks["checkout-overdue"]["troubles"][0]["what"] == f"order {order_id}"


async def test_typed_where_it_cannot_look(shell: Shell) -> None:
    code, out, err = await shell.doctor(DATABASE_URL=f"postgresql://x@127.0.0.1:{free_port()}/x")
    assert (code, out) == (2, "")
    assert err.startswith("Could not look: Postgres does not answer")
    code, _, err = await shell.doctor()
    assert code == 2
    assert "No shop is running" in err


async def test_it_changes_nothing(surgery: Surgery) -> None:
    async with surgery.shop() as shop:
        await pending(shop)
    assert await surgery.found() == await surgery.found()

"""`counterfoil import retail` as a process, with the real provider, in a shop that is open meanwhile."""

from __future__ import annotations

import asyncio
import csv
import json
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from commandside.event_store.postgres import PostgresEventStore
from commandside.payments.http_provider import HttpPaymentProvider
from counterfoil import wiring
from counterfoil.settings import Settings
from projections.valkey import open_redis
from tests.contract.payments.provider_process import ProviderProcess
from tests.integration.imports import retail_file, sums
from tests.integration.imports.command_line import CommandLine
from tests.integration.imports.reading import last_position, projected

PATIENCE_SECONDS = 60
# Enough that nothing is over before it is killed for the last time.
ORDERS_COUNT = 120
KILLS_COUNT = 6


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[ProviderProcess]:
    with ProviderProcess(tmp_path / "provider") as process:
        yield process


@pytest.fixture
def command_line(tmp_path: Path, database_url: str, provider: ProviderProcess) -> CommandLine:
    return CommandLine(tmp_path / "var", database_url, provider.url)


@asynccontextmanager
async def open_shop(settings: Settings) -> AsyncIterator[None]:
    """What the command API has running: above all the sweeper, whose clock is of today."""
    store = PostgresEventStore(settings.database_url or "")
    async with HttpPaymentProvider(settings.provider_base_url) as provider:
        write_side = wiring.write_side(settings, store, provider)
        await write_side.start()
        try:
            yield
            assert write_side.resumption.alive
        finally:
            await write_side.stop()
            store.close()


async def reaches(process: subprocess.Popen[bytes], database_url: str, position: int) -> bool:
    """Whether the log got there before the process ended."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while process.poll() is None:
            if await last_position(database_url) >= position:
                return True
            await asyncio.sleep(0.01)
    return False


@pytest.mark.long
async def test_killed_again_and_again_it_comes_to_the_same_sums(
    settings_of: Callable[..., Settings],
    command_line: CommandLine,
    provider: ProviderProcess,
    tmp_path: Path,
    database_url: str,
    redis_url: str,
) -> None:
    path = retail_file.write(tmp_path / "retail.csv", retail_file.made_up(ORDERS_COUNT, seed=3))
    expected, unmatched = sums.of_file(path)
    chance = random.Random(11)  # noqa: S311 (no secret: the same moments every time, as far as a clock allows)

    async with open_shop(settings_of(database_url=database_url, provider_url=provider.url)):
        for _ in range(KILLS_COUNT):
            process = command_line.begin("retail", str(path))
            further = await last_position(database_url) + chance.randrange(5, 120)
            assert await reaches(process, database_url, further), command_line.log.read_text()
            process.kill()
            assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        done = command_line.run("retail", str(path))

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    await projected(database_url, redis_url)
    async with open_redis(redis_url, timeout_seconds=10) as redis:
        found = await sums.of_read_models(redis, database_url)
        _, reserved = await sums.stock_of_read_models(redis)
    sums.assert_equal(found, expected)
    assert reserved == 0
    books = provider.books()
    revenue, refunds = expected.revenue_by_month.total(), expected.refunds_by_month_of_order.total()
    assert books["charges"]["amounts"] == {"GBP": revenue}
    assert books["refunds"]["amounts"] == {"GBP": refunds}
    report = json.loads((tmp_path / "retail.csv.report.json").read_text())
    assert (report["orders"], report["cancelled"], report["returned"]) == (
        ORDERS_COUNT,
        expected.cancelled,
        expected.returns,
    )
    assert report["revenue"] == {"amount": revenue, "currency": "GBP"}
    assert report["taken_back"] == {"amount": refunds, "currency": "GBP"}
    assert len(report["unmatched"]) == unmatched
    assert 0 < report["found_done"] < ORDERS_COUNT


async def test_ctrl_c_stops_it_and_it_says_how_to_go_on(
    command_line: CommandLine, tmp_path: Path, database_url: str
) -> None:
    path = retail_file.write(tmp_path / "retail.csv", retail_file.made_up(60))
    process = command_line.begin("retail", str(path))
    assert await reaches(process, database_url, 60), command_line.log.read_text()
    process.send_signal(signal.SIGINT)

    assert process.wait(PATIENCE_SECONDS) == 130, command_line.log.read_text()
    assert "Stopped. The same command goes on where it was." in command_line.log.read_text()
    assert not (tmp_path / "retail.csv.report.json").exists()
    assert command_line.run("retail", str(path)).returncode == 0
    assert json.loads((tmp_path / "retail.csv.report.json").read_text())["orders"] == 60


def test_a_bad_line_is_reported_and_stops_nothing_else(command_line: CommandLine, tmp_path: Path) -> None:
    path = retail_file.write(tmp_path / "retail.csv", retail_file.made_up(10))
    expected, _ = sums.of_file(path)
    good = path.read_bytes().splitlines(keepends=True)
    bad = [b"540001,22701A,no customer,1,3/25/2011 8:00,1.25,,France\r\n", b'540001,"open,1\r\n', b"1,2\r\n",
           b"540002,22701A,\xff,1,3/25/2011 8:00,1.25,12345,France\r\n"]  # fmt: skip
    path.write_bytes(
        b"".join([good[0], *bad, *good[1:], b"A540002,B,Adjust bad debt,1,3/25/2011 8:00,-11062.06,,UK\r\n"])
    )

    done = command_line.run("retail", str(path))

    assert done.returncode == 0, done.stderr
    with (tmp_path / "retail.csv.rejected.csv").open(newline="", encoding="utf-8") as file:
        rejected = [(row["line"], row["reason"]) for row in csv.DictReader(file)]
    assert rejected == [
        ("2", "no CustomerID"),
        ("3", "a quote is not closed"),
        ("4", "2 columns where the header has 8"),
        ("5", "not UTF-8: byte 15"),
        (str(len(good) + 5), "InvoiceNo 'A540002' is not an invoice: digits, or C and digits"),
    ]
    report = json.loads((tmp_path / "retail.csv.report.json").read_text())
    assert (report["orders"], report["rejected_lines"]) == (10, 5)
    assert report["revenue"]["amount"] == expected.revenue_by_month.total()
    assert "5 lines were rejected" in done.stdout


async def test_two_imports_at_once_are_refused(command_line: CommandLine, tmp_path: Path, database_url: str) -> None:
    path = retail_file.write(tmp_path / "retail.csv", retail_file.made_up(60))
    process = command_line.begin("retail", str(path))
    assert await reaches(process, database_url, 20), command_line.log.read_text()
    process.send_signal(signal.SIGSTOP)
    try:
        second = command_line.run("retail", str(path))
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)
    assert (second.returncode, "Another import is running" in second.stderr) == (1, True)


def test_what_is_missing_is_named(command_line: CommandLine, provider: ProviderProcess, tmp_path: Path) -> None:
    path = retail_file.write(tmp_path / "retail.csv", retail_file.made_up(1))
    for command, said in (
        (CommandLine(tmp_path / "var", "", provider.url), "No shop is running on"),
        (
            CommandLine(tmp_path / "var", "postgresql://postgres@127.0.0.1:1/x", provider.url),
            "The database does not answer",
        ),
        (CommandLine(tmp_path / "var", command_line.database_url, "http://127.0.0.1:1"), "is not ready"),
    ):
        done = command.run("retail", str(path))
        assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr
    done = command_line.run("retail", str(tmp_path / "nothing.csv"))
    assert (done.returncode, "cannot be read: No such file" in done.stderr) == (1, True)

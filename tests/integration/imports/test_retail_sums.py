"""After an import the read models say what the file says, to the penny."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console

from commandside.event_store.postgres import PostgresEventStore
from commandside.payments.port import PaymentProvider
from counterfoil.imports.retail.invoices import read
from counterfoil.imports.retail.replay import replay
from counterfoil.imports.retail.report import Report
from counterfoil.progress import shown_on
from counterfoil.settings import Settings
from domain.identity import product_stream
from projections.valkey import open_redis
from tests.fakes.payments import FakePaymentProvider
from tests.integration.imports import retail_file, sums
from tests.integration.imports.reading import last_position, projected

SettingsOf = Callable[..., Settings]


async def imported(settings: Settings, path: Path, provider: PaymentProvider) -> Report:
    store = PostgresEventStore(settings.database_url or "")
    try:
        with shown_on(Console(file=io.StringIO())) as progress:
            report = await replay(settings, store, provider, read(path), progress)
    finally:
        store.close()
    assert report is not None
    return report


async def check(path: Path, report: Report, provider: FakePaymentProvider, database_url: str, redis_url: str) -> None:
    expected, unmatched = sums.of_file(path)
    await projected(database_url, redis_url)
    async with open_redis(redis_url, timeout_seconds=10) as redis:
        found = await sums.of_read_models(redis, database_url)
        on_hand, reserved = await sums.stock_of_read_models(redis)
    sums.assert_equal(found, expected)
    # The shop opened with just what it was to sell: what lies there now is what came back.
    came_back = {code: units - expected.units_kept[code] for code, units in expected.units_sold.items()}
    assert +on_hand == +Counter({code: units for code, units in came_back.items() if sums.is_goods(code)})
    assert reserved == 0

    captured = sum(amount.amount for amount in provider.captured().values())
    refunded = sum(amount.amount for amount in provider.refunded().values())
    assert provider.authorised() == {}
    assert captured == expected.revenue_by_month.total()
    assert refunded == expected.refunds_by_month_of_order.total()

    assert report.orders_count == expected.orders.total()
    assert report.units_count == expected.units_sold.total()
    assert report.revenue.amount == expected.revenue_by_month.total()
    assert report.taken_back.amount == expected.refunds_by_month_of_order.total()
    assert (report.cancelled_count, report.returned_count) == (expected.cancelled, expected.returns)
    assert (len(report.unmatched), report.refused, report.different, report.rejected_lines_count) == (
        unmatched,
        [],
        [],
        0,
    )


async def test_a_made_up_year(settings_of: SettingsOf, tmp_path: Path, database_url: str, redis_url: str) -> None:
    path = retail_file.write(tmp_path / "retail.csv", retail_file.made_up(120))
    expected, unmatched = sums.of_file(path)
    statuses = {order.status for order in expected.orders}
    assert {"placed", "cancelled", "delivered", "all back"} == statuses, "the file has to have it all"
    assert unmatched > 0
    assert max(expected.orders.values()) == 1

    provider = FakePaymentProvider()
    report = await imported(settings_of(database_url=database_url), path, provider)

    await check(path, report, provider, database_url, redis_url)


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_the_real_year(settings_of: SettingsOf, real_file: Path, database_url: str, redis_url: str) -> None:
    provider = FakePaymentProvider()
    report = await imported(settings_of(database_url=database_url), real_file, provider)

    assert (report.orders_count, report.lines_count) == (570, 11_172)
    await check(real_file, report, provider, database_url, redis_url)


async def test_the_same_file_again_writes_nothing(settings_of: SettingsOf, tmp_path: Path, database_url: str) -> None:
    path = retail_file.write(tmp_path / "retail.csv", retail_file.made_up(40))
    provider = FakePaymentProvider()
    first = await imported(settings_of(database_url=database_url), path, provider)
    position = await last_position(database_url)

    again = await imported(settings_of(database_url=database_url), path, provider)

    assert await last_position(database_url) == position
    assert again.found_done_count == first.orders_count
    changing = ("seconds", "found_done")
    assert {name: value for name, value in again.as_json().items() if name not in changing} == {
        name: value for name, value in first.as_json().items() if name not in changing
    }


async def test_an_order_is_never_changed_by_a_file_that_was(
    settings_of: SettingsOf, tmp_path: Path, database_url: str
) -> None:
    at = datetime(2011, 3, 25, 8, 0)  # noqa: DTZ001 (local time, as in the file)
    rows: list[retail_file.Row] = [
        ("540001", "22700", "GIFT", 2, at, "1.25", "12345", "France"),
        ("540001", "22701", "OTHER", 1, at, "0.50", "12345", "France"),
    ]
    provider = FakePaymentProvider()
    settings = settings_of(database_url=database_url)
    await imported(settings, retail_file.write(tmp_path / "retail.csv", rows[:1]), provider)
    position = await last_position(database_url)

    report = await imported(settings, retail_file.write(tmp_path / "retail.csv", rows), provider)

    assert [each.reason for each in report.different] == ["the order is one of GBP 2.50, the invoice now of GBP 3.00"]
    assert report.revenue.amount == 250
    store = PostgresEventStore(database_url)
    streams = [recorded.event.TOPIC for recorded in await store.history(product_stream("22701"))]
    store.close()
    assert streams == ["product.added.v1"]
    assert await last_position(database_url) == position + 1
    assert [amount.amount for amount in provider.captured().values()] == [250]

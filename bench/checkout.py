"""Whole checkouts over HTTP: a cart with three products, checked out and placed, by 64 shoppers at once.

Both shops are one server process each, on the same Postgres and the same payment provider; one idles while the other
is measured. The latency of a checkout is taken at half of the rate that a shop has just reached.
"""

from __future__ import annotations

from statistics import quantiles
from typing import Any, Final

import psycopg

from bench import shops
from bench.apart import run_apart
from bench.report import Report
from bench.server import a_folder, database
from bench.shoppers import ITEMS_COUNT, Shopping, crowd, stream

CLIENTS_COUNT: Final = 64
SLACK_SECONDS: Final = 60.0


def run(report: Report, server_url: str, seconds: float, rounds_count: int) -> None:
    with (
        a_folder() as folder,
        database(server_url) as url,
        database(server_url) as reference_url,
        shops.provider(folder) as provider_url,
        shops.ours(url, provider_url, folder) as ours,
        shops.reference_shop(reference_url, provider_url, folder) as reference,
        shops.nothing_shop(provider_url, folder) as nothing,
    ):
        for _ in range(rounds_count):
            for shop in (ours, reference, nothing):
                _round(report, shop, provider_url, seconds)
        report.count("checkout.units_sold", _units_sold(url))
        report.count("checkout.reference_units_sold", _reference_units_sold(reference_url))
    report.ratio("checkout.vs_reference_shop", _figure("ours"), _figure("reference"))
    # How far a shop could get that does nothing but answer and take the money.
    report.ratio("checkout.nothing_vs_reference_shop", _figure("nothing"), _figure("reference"))
    report.ratio("checkout.p99_over_p50", "checkout.ours_p99_milliseconds", "checkout.ours_p50_milliseconds")


def _round(report: Report, shop: shops.Shop, provider_url: str, seconds: float) -> None:
    prefix = "checkout." if shop.name == "ours" else f"checkout.{shop.name}_"
    charges_before = shops.charges_count(provider_url)
    peak: Shopping
    half: Shopping
    where = (shops.HOST, shop.port, shops.SKUS)
    timeout_seconds = seconds * 2 + SLACK_SECONDS
    (peak,) = run_apart(crowd, *where, CLIENTS_COUNT, seconds, timeout_seconds=timeout_seconds)
    rate = peak.checkouts_count / peak.seconds
    (half,) = run_apart(stream, *where, rate / 2, seconds, timeout_seconds=timeout_seconds)
    report.measure(_figure(shop.name), rate)
    for percentile, latency_seconds in _percentiles(half.latencies_seconds).items():
        report.measure(f"checkout.{shop.name}_{percentile}_milliseconds", latency_seconds * 1_000)
    report.count(f"{prefix}placed", peak.placed_count + half.placed_count)
    report.count(f"{prefix}charged", shops.charges_count(provider_url) - charges_before)


def _percentiles(latencies_seconds: list[float]) -> dict[str, float]:
    found = quantiles(latencies_seconds, n=100, method="inclusive")
    return {"p50": found[49], "p99": found[98]}


def _units_sold(url: str) -> int:
    """By the log: each commit of stock says how many."""
    return _number(
        url,
        "SELECT coalesce(sum((convert_from(state, 'UTF8')::jsonb ->> 'quantity')::bigint), 0)::bigint "
        "FROM log.stored_events WHERE topic = 'stock.committed.v1'",
    )


def _reference_units_sold(url: str) -> int:
    """By the stock that is left; of a checkout's three products each is one unit."""
    left = _number(url, "SELECT sum(on_hand)::bigint FROM shop.stock")
    placed = _number(url, "SELECT count(*) FROM shop.orders WHERE status = 'placed'")
    sold = shops.UNITS * shops.PRODUCTS_COUNT - left
    if sold != placed * ITEMS_COUNT:
        raise AssertionError(f"the reference shop sold {sold} units in {placed} orders")
    return sold


def _number(url: str, query: str) -> int:
    with psycopg.connect(url) as connection:
        row: Any = connection.execute(query.encode()).fetchone()
    return int(row[0])


def _figure(name: str) -> str:
    return f"checkout.{name}_checkouts_per_second"

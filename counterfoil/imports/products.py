"""A catalogue from a file; the same file again changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

from commandside.aggregates import Aggregates
from commandside.commands import ChangeProduct, ProductChanges
from commandside.event_store import StoreUnavailable
from commandside.handlers.catalogue import add_product, change_product, rate_product
from commandside.handlers.context import Context
from commandside.handlers.inventory import receive_stock
from commandside.write_side import WriteSide
from commandside.writer import Busy, Contended
from counterfoil.imports.errors import ImportStopped
from counterfoil.imports.in_flight import in_flight
from counterfoil.imports.product_rows import BadRow, ProductRow, parse, unknown_columns
from counterfoil.imports.records import (
    Record,
    Rejected,
    count_lines,
    csv_header,
    is_json_lines,
    read_csv,
    read_json_lines,
)
from counterfoil.imports.stopping import Stopping, never
from counterfoil.progress import Progress
from domain.aggregates import EventSourced, Product
from domain.errors import DomainError, RuleBroken
from domain.identity import product_stream, stock_locations_stream, stock_stream
from domain.values import Cause

ACTOR: Final = "system:import"
LIMIT_IN_FLIGHT_COUNT: Final = 512
REJECTED_LIMIT_COUNT: Final = 100_000


@dataclass(slots=True)
class ProductsReport:
    """`changed` counts products that were there and differed in anything; `received` the opening stocks taken in."""

    rows_count: int = 0
    added_count: int = 0
    changed_count: int = 0
    received_count: int = 0
    seconds: float = 0.0
    finished: bool = True

    def as_text(self) -> str:
        per_second = self.rows_count / self.seconds if self.seconds else 0.0
        return (
            f"  rows        {self.rows_count}, {per_second:,.0f} a second\n"
            f"  added       {self.added_count}\n"
            f"  changed     {self.changed_count}\n"
            f"  received    {self.received_count} opening stocks"
        )


def read(path: Path) -> Iterator[Record | Rejected]:
    """CSV or JSON Lines. Raises ImportStopped where it cannot be read, or has columns that mean nothing here."""
    if is_json_lines(path):
        return read_json_lines(path)
    unknown = unknown_columns(csv_header(path))
    if unknown:
        raise ImportStopped(f"{path} has columns that mean nothing here: {', '.join(unknown)}. See docs/importing.md.")
    return read_csv(path, required=("sku", "title"))


async def import_products(
    write_side: WriteSide,
    path: Path,
    progress: Progress,
    clock: Callable[[], datetime],
    stopping: Stopping = never,
) -> tuple[ProductsReport, list[Rejected]]:
    """Many rows in flight share a batch; those of one SKU follow one another. Raises ImportStopped."""
    began = time.monotonic()
    importing = _Import(write_side, clock, progress)
    progress.begin("lines", count_lines(path))
    try:
        importing.report.finished = await in_flight(
            importing.parsed(read(path)),
            importing.take_in,
            limit_count=LIMIT_IN_FLIGHT_COUNT,
            key=lambda each: each[1].add.sku,
            stopping=stopping,
        )
    except (StoreUnavailable, Busy, Contended) as error:
        raise ImportStopped(
            f"The database does not take what is written ({error}). When it does, run the same command again: what is "
            "there already stays as it is."
        ) from error
    importing.report.seconds = time.monotonic() - began
    return importing.report, sorted(importing.rejected, key=lambda each: each.line)


class _Import:
    def __init__(self, write_side: WriteSide, clock: Callable[[], datetime], progress: Progress) -> None:
        self._write_side = write_side
        self._clock = clock
        self._progress = progress
        self.report = ProductsReport()
        self.rejected: list[Rejected] = []

    def parsed(self, records: Iterator[Record | Rejected]) -> Iterator[tuple[Record, ProductRow]]:
        for record in records:
            self.report.rows_count += 1
            self._progress.advance(record.text.count("\n") + 1)
            if isinstance(record, Rejected):
                self._reject(record)
                continue
            try:
                row = parse(record.values, self._write_side.shop.currency)
            except BadRow as fault:
                self._reject(Rejected(record.line, str(fault), record.text))
            else:
                yield record, row

    async def take_in(self, each: tuple[Record, ProductRow]) -> None:
        record, row = each
        cause = Cause(self._clock(), ACTOR, f"import:products:{record.line}", "import:products")
        try:
            taken = (await self._write_side.writer.execute(partial(take_in, row=row, context=Context(cause)))).result
        except DomainError as refusal:
            self._reject(Rejected(record.line, refusal.detail, record.text))
        else:
            self.report.added_count += taken.added
            self.report.changed_count += taken.changed
            self.report.received_count += taken.received_count

    def _reject(self, rejected: Rejected) -> None:
        if len(self.rejected) >= REJECTED_LIMIT_COUNT:
            raise ImportStopped(f"More than {REJECTED_LIMIT_COUNT} lines are bad: is this the right file?")
        self.rejected.append(rejected)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a row came to."""

    added: bool
    changed: bool
    received_count: int


def take_in(aggregates: Aggregates, row: ProductRow, context: Context) -> Taken:
    """All that a row says, or nothing of it, by the handlers that HTTP goes through. Raises DomainError.

    Opening stock is received once: where there never was any of this SKU in this warehouse.
    """
    sku = row.add.sku
    there = aggregates.find_all(EventSourced, streams_of(row))  # asked for together they are loaded together
    product = there.get(product_stream(sku))
    version = product.version if product is not None else 0
    if isinstance(product, Product):
        if row.add.kind != product.details.kind and "kind" in row.given:
            raise RuleBroken(f"{sku!r} is there as {product.details.kind}: that cannot be changed.")
        changes = {name: getattr(row.add, name) for name in row.given if name != "kind"}
        change_product(aggregates, ChangeProduct(sku=sku, changes=ProductChanges(**changes)), context)
    else:
        product = None
        add_product(aggregates, row.add, context)
    if row.rate is not None:
        rate_product(aggregates, row.rate, context)
    opening = [receive for receive in row.stock if stock_stream(sku, receive.warehouse_id) not in there]
    for receive in opening:
        receive_stock(aggregates, receive, context)
    return Taken(product is None, product is not None and product.version != version, len(opening))


def streams_of(row: ProductRow) -> list[UUID]:
    """The streams that taking it in reads and writes."""
    sku = row.add.sku
    stock = [stock_stream(sku, receive.warehouse_id) for receive in row.stock]
    return [product_stream(sku), stock_locations_stream(sku), *stock]

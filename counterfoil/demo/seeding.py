from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from commandside.aggregates import Aggregates
from commandside.event_store import EventStore
from commandside.handlers.context import Context
from commandside.writer import Writer
from counterfoil.imports.product_rows import ProductRow, parse
from counterfoil.imports.products import streams_of, take_in
from counterfoil.imports.records import Record, read_json_lines
from domain.aggregates import EventSourced
from domain.values import Cause

CATALOGUE: Final = Path(__file__).parent / "catalogue.jsonl"
_CURRENCY: Final = "GBP"


def catalogue() -> list[ProductRow]:
    """The demo shop, in the format of `counterfoil import products`."""
    records = [record for record in read_json_lines(CATALOGUE) if isinstance(record, Record)]
    return [parse(record.values, _CURRENCY) for record in records]


async def seed(store: EventStore, at: datetime) -> int:
    """Put the demo shop into a log that is empty; returns how many products that were.

    It is one append: interrupted, it leaves nothing, and the next start finds the log as empty as this one.
    Raises StoreUnavailable.
    """
    if await store.last_position() > 0:
        return 0
    rows = catalogue()
    writer = Writer(store)
    await writer.start()
    try:
        context = Context(Cause(at, "system:demo", "demo", "demo"))
        return (await writer.execute(partial(_fill, rows=rows, context=context))).result
    finally:
        await writer.stop()


def _fill(aggregates: Aggregates, rows: Sequence[ProductRow], context: Context) -> int:
    # All that is asked for together is loaded together; whoever was faster than we has a shop that is not empty.
    if aggregates.find_all(EventSourced, [stream_id for row in rows for stream_id in streams_of(row)]):
        return 0
    for row in rows:
        take_in(aggregates, row, context)
    return len(rows)

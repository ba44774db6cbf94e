"""What differs between the search tables and the log: all of it, as of the position that the tables hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection

from projections.recorded import AnyEvent
from projections.search import beside, tables
from projections.search.state import State, evolve, keys_of
from streams.log_pages import LogPages
from streams.verify_differences import Difference

PAGE_SIZE_EVENTS: Final = 5_000
_ROWS_COUNTED: Final = {
    "product": "SELECT count(*) FROM search.products WHERE version > 0",
    "stock": "SELECT count(*) FROM search.stock",
    "order": "SELECT count(*) FROM search.orders",
}
_UNITS_SOLD: Final = "SELECT sku, units_sold FROM search.products WHERE units_sold <> 0"
# What is made of the rows is right when making it again changes nothing.
_DERIVED: Final = {
    "lexicon": """
        WITH due AS (
            SELECT word, count(*)::int AS n FROM search.products p JOIN search.documents d USING (id),
                   LATERAL search.lexemes(d.title, d.brand, d.category) AS word WHERE p.listed GROUP BY word)
        SELECT coalesce(l.word, due.word), l.documents::text, due.n::text
          FROM search.lexicon l FULL JOIN due ON due.word = l.word WHERE l.documents IS DISTINCT FROM due.n
         ORDER BY 1""",
    "suggestion": """
        WITH due AS (
            SELECT text, count(*)::int AS n, sum(p.units_sold)::bigint AS units
              FROM search.products p JOIN search.documents d USING (id),
                   LATERAL search.texts(d.title, d.brand, d.category) AS text WHERE p.listed GROUP BY text)
        SELECT coalesce(s.text, due.text), s.products || ' ' || s.units_sold, due.n || ' ' || due.units
          FROM search.suggestions s FULL JOIN due ON due.text = s.text
         WHERE (s.products, s.units_sold) IS DISTINCT FROM (due.n, due.units) AND NOT (s.products = 0 AND due.n IS NULL)
         ORDER BY 1""",
    "in_stock": """
        SELECT p.sku, p.in_stock::text, due.in_stock::text FROM search.products p CROSS JOIN LATERAL (
            SELECT p.is_service OR coalesce(sum(s.on_hand - s.reserved), 0) > 0 AS in_stock
              FROM search.stock s WHERE s.sku = p.sku) due
         WHERE p.in_stock <> due.in_stock AND p.version > 0 ORDER BY 1""",
    "vector": """
        SELECT p.sku, v.vector::text, due.vector::text
          FROM search.products p JOIN search.documents d USING (id) LEFT JOIN search.vectors v USING (id)
         CROSS JOIN LATERAL (SELECT CASE WHEN p.listed THEN
             search.vector(p.sku, d.title, d.brand, d.category, d.description) END AS vector) due
         WHERE v.vector IS DISTINCT FROM due.vector ORDER BY 1""",
}


class SearchVerification:
    """`position` is what the tables held; nothing that is written meanwhile is seen. Raises psycopg.Error.

    A connection whose cursors are beside.BuildingCursor looks at the tables that are being built.
    """

    def __init__(self, connection: AsyncConnection[Any], log: LogPages) -> None:
        self.position = 0
        self.streams_count = 0
        self._connection = connection
        self._log = log

    async def differences(self) -> AsyncIterator[Difference]:
        async with self._connection.transaction():
            await self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            self.position = await beside.position(self._connection, "search")
            seen: Counter[str] = Counter()
            sold: Counter[str] = Counter()
            async for page in self._log.by_stream(PAGE_SIZE_EVENTS):
                events = [one.event for stream in page.values() for one in stream if one.position <= self.position]
                due = evolve(State(), events)
                for sale in due.sales.values():
                    sold.update(sale.counted())
                seen.update({"product": len(due.listings), "stock": len(due.levels), "order": len(due.sales)})
                async for difference in self._compared(events, due):
                    yield difference
            self.streams_count = seen.total()
            async for difference in self._sums(seen, {sku: units for sku, units in sold.items() if units}):
                yield difference
            async for difference in self._derived():
                yield difference

    async def _compared(self, events: list[AnyEvent], due: State) -> AsyncIterator[Difference]:
        held = await tables.load(self._connection, keys_of(events))
        pairs: list[tuple[str, Mapping[Any, Any], Mapping[Any, Any]]] = [
            ("product", held.listings, due.listings),
            ("stock", held.levels, due.levels),
            ("order", held.sales, due.sales),
        ]
        for kind, stored, expected in pairs:
            for key, row in expected.items():
                name = f"{kind}:{'@'.join(key) if isinstance(key, tuple) else key}"
                if key not in stored:
                    yield Difference("missing key", name, None, None, _shown(row))
                elif stored[key] != row:
                    for field in type(row).__match_args__:
                        there, wanted = _shown(getattr(stored[key], field)), _shown(getattr(row, field))
                        if there != wanted:
                            yield Difference("changed field", name, field, there, wanted)

    async def _sums(self, seen: Mapping[str, int], sold: Mapping[str, int]) -> AsyncIterator[Difference]:
        for kind, query in _ROWS_COUNTED.items():
            ((count,),) = await self._rows(query)
            if count != seen.get(kind, 0):
                yield Difference("wrong sum", kind, "rows", str(count), str(seen.get(kind, 0)))
        stored = dict(await self._rows(_UNITS_SOLD))
        for sku in sorted({*stored, *sold}):
            if stored.get(sku, 0) != sold.get(sku, 0):
                yield Difference(
                    "wrong sum", f"product:{sku}", "units_sold", str(stored.get(sku, 0)), str(sold.get(sku, 0))
                )

    async def _derived(self) -> AsyncIterator[Difference]:
        for kind, query in _DERIVED.items():
            for key, there, wanted in await self._rows(query):
                yield Difference("changed field", f"{kind}:{key}", None, there, wanted)

    async def _rows(self, query: str) -> list[Any]:
        return await (await self._connection.execute(query.encode())).fetchall()


def _shown(value: object) -> str:
    """As JSON, in which a row's list is the same as the tuple that it was made of."""
    return msgspec.json.encode(value, order="deterministic").decode()

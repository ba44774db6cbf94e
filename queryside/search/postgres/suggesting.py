"""What is suggested while typing: the most popular texts of which each typed word begins a word."""

from __future__ import annotations

from typing import Any, Final

from psycopg import AsyncConnection

from queryside.search.engine import SUGGESTIONS_COUNT
from queryside.search.postgres.statement import quoted
from queryside.search.words import allowed_edits, correctable, folded, plain_words, replaced

LOOKED_AT_FIRST_COUNT: Final = 1_000
WORDS_COUNT: Final = 8

# A beginning that much begins with is found among what sells best, without reading and sorting all that has it.
_AMONG_THE_MOST_POPULAR: Final = """
SELECT text
  FROM (SELECT * FROM search.suggestions WHERE products > 0
         ORDER BY units_sold DESC, products DESC, text LIMIT %(looked_at_count)s) most
 WHERE words @@ to_tsquery('search.words', %(beginnings)s)
 ORDER BY units_sold DESC, products DESC, text LIMIT %(count)s
"""
# The one that finds less than that has few to sort. The planner must not take the way of the first one again.
_AMONG_ALL: Final = """
WITH found AS MATERIALIZED (
    SELECT text, units_sold, products FROM search.suggestions
     WHERE products > 0 AND words @@ to_tsquery('search.words', %(beginnings)s)
)
SELECT text FROM found ORDER BY units_sold DESC, products DESC, text LIMIT %(count)s
"""
# As far as it is typed, a word is right when any begins so; else it was meant as the nearest one, or its beginning.
_NEAREST: Final = """
SELECT typed.word, nearest.meant
  FROM unnest(%s::text[], %s::int[]) AS typed (word, edits),
       LATERAL (SELECT m.meant, search.edits(m.meant, typed.word, typed.edits) AS edits, l.documents, l.word
                  FROM search.lexicon l,
                       LATERAL (VALUES (l.word), (left(l.word, length(typed.word)))) AS m (meant)
                 WHERE l.documents > 0
                   AND length(m.meant) BETWEEN length(typed.word) - typed.edits AND length(typed.word) + typed.edits
                   AND search.edits(m.meant, typed.word, typed.edits) <= typed.edits
                 ORDER BY 2, left(l.word, 1) <> left(typed.word, 1), l.documents DESC, l.word, m.meant
                 LIMIT 1) nearest
 WHERE NOT EXISTS (SELECT FROM search.lexicon l WHERE l.documents > 0 AND starts_with(l.word, typed.word))
"""


async def suggestions(connection: AsyncConnection[Any], text: str) -> tuple[str, ...]:
    """At most SUGGESTIONS_COUNT, the most popular first; none when nothing begins so, nor nearly so."""
    found = await _beginning(connection, text)
    typed = {folded(word): word for word in correctable(text)[:WORDS_COUNT]}
    if found or not typed:
        return found
    parameters = [list(typed), [allowed_edits(word) for word in typed]]
    nearest = await (await connection.execute(_NEAREST, parameters)).fetchall()
    if not nearest:
        return ()
    return await _beginning(connection, replaced(text, {typed[word]: meant for word, meant in nearest}))


async def _beginning(connection: AsyncConnection[Any], text: str) -> tuple[str, ...]:
    words = plain_words(text)[:WORDS_COUNT]
    if not words:
        return ()
    parameters = {
        "beginnings": " & ".join(f"{quoted(word)}:*" for word in words),
        "looked_at_count": LOOKED_AT_FIRST_COUNT,
        "count": SUGGESTIONS_COUNT,
    }
    rows = await (await connection.execute(_AMONG_THE_MOST_POPULAR, parameters)).fetchall()
    if len(rows) < SUGGESTIONS_COUNT:
        rows = await (await connection.execute(_AMONG_ALL, parameters)).fetchall()
    return tuple(row[0] for row in rows)

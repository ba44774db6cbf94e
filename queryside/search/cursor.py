"""Where a page of search results ended. Opaque to clients; bound to the query it came from.

Any engine goes on from another's: they sort by the same figures. Only how well words match each says for itself.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Annotated, Final

import msgspec

from queryside.errors import QueryError
from queryside.search.query import MAX_TEXT_LENGTH, SearchQuery
from queryside.search.result import EngineName

MAX_CURSOR_LENGTH: Final = 2048
_BIGINT: Final = 2**63


class InvalidCursor(QueryError):
    """A cursor that no search gave, or one of another search."""

    status = 422
    slug = "invalid-cursor"
    title = "Invalid cursor"

    def __init__(self) -> None:
        super().__init__("The cursor is not one of this search: start again without it.")


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last product given: its `key` in the sort order (ascending, int64) and its SKU, which breaks ties.

    `corrected_text` is what was looked for instead of a misspelt text: the next page goes on with it.
    """

    query_digest: str
    key: Annotated[int, msgspec.Meta(ge=-_BIGINT, le=_BIGINT - 1)]
    sku: Annotated[str, msgspec.Meta(max_length=1000)]
    corrected_text: Annotated[str, msgspec.Meta(max_length=2 * MAX_TEXT_LENGTH)] | None = None


def write_cursor(engine: EngineName, query: SearchQuery, key: int, sku: str, corrected_text: str | None) -> str:
    cursor = Cursor(_digest(query, engine), key, sku, corrected_text)
    return urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def read_cursor(query: SearchQuery, engine: EngineName) -> Cursor | None:
    """The cursor that `query` carries. Raises InvalidCursor, also for one that `engine` cannot go on from."""
    if query.cursor is None:
        return None
    try:
        raw = urlsafe_b64decode(query.cursor + "=" * (-len(query.cursor) % 4))
        cursor = msgspec.json.decode(raw, type=Cursor)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise InvalidCursor from error
    text = cursor.sku + (cursor.corrected_text or "")
    if cursor.query_digest != _digest(query, engine) or "\x00" in text:
        raise InvalidCursor
    return cursor


def _digest(query: SearchQuery, engine: EngineName) -> str:
    # The size of a page may change from one to the next; nothing else may.
    what = (
        query.text,
        query.category,
        sorted(set(query.brands)),
        query.price_min,
        query.price_max,
        query.min_rating.normalize() if query.min_rating is not None else None,
        query.in_stock,
        query.sort,
        engine if query.sort == "relevance" and query.text is not None else None,
    )
    return blake2b(msgspec.json.encode(what), digest_size=9).hexdigest()

"""Arrays as Postgres takes them in binary: https://www.postgresql.org/docs/current/protocol.html, `array_recv`.

A batch is a handful of arrays: built from joined bytes they cost a tenth of what psycopg's adapters take for lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct
from typing import Final
from uuid import UUID

_UUID, _BIGINT, _TEXT, _BYTEA, _TIMESTAMPTZ = 2950, 20, 25, 17, 1184  # oids of the elements
_EMPTY: Final = Struct("!iiI")
_HEAD: Final = Struct("!iiIii")  # dimensions, whether any is null, element's type, length, lower bound
_LENGTH: Final = Struct("!i")
_WHOLE: Final = Struct("!iq")
_NULL: Final = _LENGTH.pack(-1)
_SIXTEEN: Final = _LENGTH.pack(16)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_TOPICS_LIMIT_COUNT: Final = 1_024


def uuids(values: Iterable[UUID]) -> bytes:
    return _array(_UUID, [_SIXTEEN + value.bytes for value in values])


def bigints(values: Iterable[int]) -> bytes:
    return _array(_BIGINT, [_WHOLE.pack(8, value) for value in values])


def topics(values: Iterable[str]) -> bytes:
    """Texts of which there are few different ones."""
    return _array(_TEXT, [_topic(value) for value in values])


def byteas(values: Iterable[bytes]) -> bytes:
    return _array(_BYTEA, [_LENGTH.pack(len(value)) + value for value in values])


def times(values: Sequence[datetime | None]) -> bytes:
    """With a time zone. Microseconds since 2000, as the server keeps them."""
    elements = [_NULL if value is None else _WHOLE.pack(8, _microseconds(value)) for value in values]
    return _array(_TIMESTAMPTZ, elements, has_nulls=None in values)


def _array(element_type: int, elements: list[bytes], *, has_nulls: bool = False) -> bytes:
    if not elements:
        return _EMPTY.pack(0, 0, element_type)
    return _HEAD.pack(1, has_nulls, element_type, len(elements), 1) + b"".join(elements)


def _microseconds(value: datetime) -> int:
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@lru_cache(maxsize=_TOPICS_LIMIT_COUNT)
def _topic(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH.pack(len(encoded)) + encoded

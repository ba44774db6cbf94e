"""One difference between what is stored and what the log says, named as closely as can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from projections.writes import PutEntry, Write

SHOWN_LIMIT_CHARACTERS: Final = 300
_ABSENT: Final = object()

What = Literal[
    "missing key",
    "extra key",
    "missing field",
    "extra field",
    "changed field",
    "stale version",
    "missing entry",
    "extra entry",
    "changed score",
    "wrong sum",
    "wrong type",
    "set aside",
    "cannot be replayed",
]


class Difference(Struct, frozen=True):
    """`field` is that of the hash, with the path in its JSON (`body.price.amount`), or a sorted set's member.

    `stored` and `expected` are as they are written, None where there is nothing.
    """

    what: What
    key: str
    field: str | None
    stored: str | None
    expected: str | None


def compared(write: Write, stored: Mapping[str, bytes], expected: Mapping[str, bytes]) -> Iterator[Difference]:
    """Every field that differs."""
    if isinstance(write, PutEntry):
        yield from _entry(write, stored, expected)
    elif not stored and not hasattr(write, "field"):
        yield Difference("missing key", write.key, None, None, _shown(expected))
    else:
        for name in sorted({*stored, *expected}):
            if name not in stored:
                yield Difference("missing field", write.key, name, None, _shown(expected[name]))
            elif name not in expected:
                yield Difference("extra field", write.key, name, _shown(stored[name]), None)
            elif stored[name] != expected[name]:
                yield from _changed(write.key, name, stored[name], expected[name])


def _entry(write: PutEntry, stored: Mapping[str, bytes], expected: Mapping[str, bytes]) -> Iterator[Difference]:
    if not stored:
        yield Difference("missing entry", write.key, write.member, None, _shown(expected[write.member]))
    elif stored != expected:
        there, due = _shown(stored[write.member]), _shown(expected[write.member])
        yield Difference("changed score", write.key, write.member, there, due)


def _changed(key: str, name: str, stored: bytes, expected: bytes) -> Iterator[Difference]:
    try:
        there, due = msgspec.json.decode(stored), msgspec.json.decode(expected)
    except msgspec.DecodeError:
        there = due = None
    paths = list(_paths(name, there, due)) if isinstance(there, dict) and isinstance(due, dict) else []
    if not paths:  # no JSON, or the same in another form: the bytes are what is sent
        yield Difference("changed field", key, name, _shown(stored), _shown(expected))
    for path, one, other in paths:
        yield Difference("changed field", key, path, _json(one), _json(other))


def _paths(path: str, stored: Any, expected: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(stored, dict) and isinstance(expected, dict):
        for name in sorted({*stored, *expected}):
            yield from _paths(f"{path}.{name}", stored.get(name, _ABSENT), expected.get(name, _ABSENT))
    elif isinstance(stored, list) and isinstance(expected, list) and len(stored) == len(expected):
        for number, (one, other) in enumerate(zip(stored, expected, strict=True)):
            yield from _paths(f"{path}[{number}]", one, other)
    elif stored != expected or type(stored) is not type(expected):
        yield path, stored, expected


def _json(value: Any) -> str | None:
    return None if value is _ABSENT else _shown(msgspec.json.encode(value))


def _shown(value: bytes | Mapping[str, bytes]) -> str:
    if isinstance(value, Mapping):
        text = " ".join(f"{name}={held.decode(errors='replace')}" for name, held in value.items())
    else:
        text = value.decode(errors="replace")
    return text if len(text) <= SHOWN_LIMIT_CHARACTERS else f"{text[:SHOWN_LIMIT_CHARACTERS]} …"

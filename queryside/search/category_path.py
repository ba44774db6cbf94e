"""Category paths as text: names joined by "/"; within a name "~" is written "~0" and "/" is written "~1" (RFC 6901)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

MAX_DEPTH: Final = 20
_WRONG_ESCAPE: Final = re.compile(r"~(?![01])")


def format_path(names: Sequence[str]) -> str:
    return "/".join(name.replace("~", "~0").replace("/", "~1") for name in names)


def parse_path(text: str) -> tuple[str, ...]:
    """The names, most general first. Raises ValueError for an empty name, a wrong escape, too many names."""
    names = text.split("/")
    if not all(names):
        raise ValueError("a name in the path is empty")
    if len(names) > MAX_DEPTH:
        raise ValueError(f"the path has {len(names)} names; at most {MAX_DEPTH} are allowed")
    if _WRONG_ESCAPE.search(text):
        raise ValueError('"~" is followed by neither 0 nor 1')
    return tuple(name.replace("~1", "/").replace("~0", "~") for name in names)

"""What a check is, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

# Of each check so many are told; all are counted.
TOLD_LIMIT_COUNT: Final = 100


@dataclass(frozen=True, slots=True)
class Check:
    """`name` is stable. `bound` says in words how old a thing may be, `advice` what to do about one that is older."""

    name: str
    bound: str
    advice: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is older than its bound. `since` is when its bound ran from, where that is known."""

    check: Check
    what: str
    detail: str
    since: datetime | None = None


@dataclass(slots=True)
class Finding:
    """What one check found: `troubles` are the first of `count`."""

    check: Check
    count: int = 0
    troubles: list[Trouble] = field(default_factory=list)

    def note(self, trouble: Trouble) -> None:
        self.count += 1
        if len(self.troubles) < TOLD_LIMIT_COUNT:
            self.troubles.append(trouble)


class Findings:
    """Of these checks, in their order."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._by_name = {check.name: Finding(check) for check in checks}

    def note(self, trouble: Trouble) -> None:
        self._by_name[trouble.check.name].note(trouble)

    def add_checks(self, checks: Sequence[Check]) -> None:
        for check in checks:
            self._by_name.setdefault(check.name, Finding(check))

    @property
    def all(self) -> list[Finding]:
        return list(self._by_name.values())

    @property
    def count(self) -> int:
        return sum(finding.count for finding in self._by_name.values())

"""How far long work is: a bar on a terminal with the pace and the time left, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

PLAIN_LINE_SECONDS: Final = 5.0


class Progress(Protocol):
    def begin(self, what: str, total: int) -> None:
        """A new stretch of `total` things."""

    def advance(self, count: int = 1) -> None: ...

    def say(self, text: str) -> None:
        """A line for the person at the keyboard, above the bar."""


@contextmanager
def shown_on(console: Console) -> Iterator[Progress]:
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Pace(), TimeRemainingColumn())
    with Bar(*columns, console=console) as bar:
        yield _Bar(bar, console)


def say(console: Console, text: str) -> None:
    """As it is: a file's name may have brackets in it, and a line that is copied must not be broken."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


class _Pace(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


class _Bar:
    def __init__(self, bar: Bar, console: Console) -> None:
        self._bar = bar
        self._console = console
        self._task = bar.add_task("", total=None, visible=False)

    def begin(self, what: str, total: int) -> None:
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=total)

    def advance(self, count: int = 1) -> None:
        self._bar.advance(self._task, count)

    def say(self, text: str) -> None:
        say(self._console, text)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._what, self._total, self._done = "", 0, 0
        self._began_at = self._said_at = 0.0

    def begin(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._began_at = self._said_at = time.monotonic()

    def advance(self, count: int = 1) -> None:
        self._done += count
        now = time.monotonic()
        # What goes on after all of it is there (a shop that sells meanwhile) is not more than all.
        if self._done <= self._total and (self._done == self._total or now - self._said_at > PLAIN_LINE_SECONDS):
            self._said_at = now
            pace = self._done / max(now - self._began_at, 0.001)
            left_seconds = (self._total - self._done) / pace
            self.say(f"{self._what}: {self._done:,} of {self._total:,}, {pace:,.0f}/s, {left_seconds:,.0f} s left")

    def say(self, text: str) -> None:
        say(self._console, text)

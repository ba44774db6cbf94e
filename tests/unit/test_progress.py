"""How far long work is: on a terminal and away from one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from counterfoil.progress import PLAIN_LINE_SECONDS, shown_on


def test_away_from_a_terminal_it_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    output, now = io.StringIO(), 100.0
    monkeypatch.setattr("counterfoil.progress.time.monotonic", lambda: now)
    with shown_on(Console(file=output, width=40)) as progress:
        progress.begin("invoices", 4_000)
        progress.advance(1_000)
        now += PLAIN_LINE_SECONDS + 5
        progress.advance(1_000)
        now += 1
        progress.advance(1_000)  # too soon for another line
        now += 9
        progress.advance(1_000)
        progress.advance(10)  # more than was thought
        progress.say("a line [with] brackets that is much longer than the console is wide")
    assert output.getvalue().splitlines() == [
        "invoices: 2,000 of 4,000, 200/s, 10 s left",
        "invoices: 4,000 of 4,000, 200/s, 0 s left",
        "a line [with] brackets that is much longer than the console is wide",
    ]


def test_on_a_terminal_it_is_a_bar() -> None:
    output = io.StringIO()
    with shown_on(Console(file=output, force_terminal=True, width=100)) as progress:
        progress.begin("invoices", 2)
        progress.advance(2)
    assert "invoices" in output.getvalue()
    assert "2/2" in output.getvalue()

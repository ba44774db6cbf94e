"""The command: one seed or many, and what the person at the keyboard is told."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from counterfoil.cli import app
from counterfoil.simulation.campaign import run_seeds
from tests.simulation.planted import PLANTED

LONG_SEEDS_COUNT = 1_000
LONG_COMMANDS_COUNT = 1_000_000


def test_a_seed_that_keeps_every_promise() -> None:
    first = CliRunner().invoke(app, ["simulate", "--seed", "11"])
    again = CliRunner().invoke(app, ["simulate", "--seed", "11"])

    assert first.exit_code == 0
    assert "every promise kept" in first.output
    assert first.output.splitlines()[-1] == again.output.splitlines()[-1] != ""


def test_a_seed_that_does_not_is_told_in_little(monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTED["leave_the_cart_in_checkout"](monkeypatch)

    told = CliRunner().invoke(app, ["simulate", "--seed", "11"])

    assert told.exit_code == 1
    assert "NOT KEPT in seeds 11" in told.output
    assert "in checkout" in told.output
    assert len(told.output.splitlines()) < 100


def test_many_seeds_in_two_processes() -> None:
    tally, _ = run_seeds(range(200, 208))

    assert (tally.failed, tally.seeds_count) == ({}, 8)
    assert tally.commands_count > 4_000


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_a_million_commands() -> None:
    tally, seconds = run_seeds(range(1_000, 1_000 + LONG_SEEDS_COUNT))

    print(tally.told(seconds))
    assert tally.failed == {}
    assert tally.seeds_count == LONG_SEEDS_COUNT
    assert tally.commands_count >= LONG_COMMANDS_COUNT
    assert tally.captures_count > 10 * LONG_SEEDS_COUNT
    assert tally.crashes_count > LONG_SEEDS_COUNT
    assert min(tally.faults.values()) > 100
    # 300 s are what two free cores take; here others may be at work, too.
    assert seconds < 1_000

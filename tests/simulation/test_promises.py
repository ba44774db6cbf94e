"""The shop under all faults at once, seed after seed: every promise is kept."""

from __future__ import annotations

import pytest

from counterfoil.simulation.scenario import draw
from counterfoil.simulation.verdict import judge


@pytest.mark.parametrize("seed", range(8))
def test_every_promise_is_kept(seed: int) -> None:
    verdict = judge(draw(seed))

    assert verdict.violations == [], verdict.told()
    assert verdict.history.commands_count > 500
    assert verdict.history.happened
    assert verdict.history.books

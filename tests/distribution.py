"""Who runs which tests when several processes do: whole files each, the slow ones first, so that none is left over.

A process takes the next file when it is nearly done with its own. What takes minutes begins first; with it at the end,
as xdist has it (files of few tests come last), one process would be at work alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling, Scheduling

# The folders of tests/, by how long a file takes there.
FOLDERS = (
    "simulation", "fault", "fuzzing", "e2e", "bench", "integration", "contract", "properties", "history", "unit",
    "rules",
)  # fmt: skip
# Slow files in folders of fast ones.
SLOW = frozenset(
    {
        "tests/properties/test_order.py",
        "tests/unit/imports/test_retail_interrupted.py",
        "tests/unit/payments/test_books.py",
    }
)
# Slow files whose tests share nothing: each test goes to whoever has time.
APART = frozenset(
    {
        "tests/e2e/test_oversell.py",
        "tests/fuzzing/test_both_apis.py",
        "tests/integration/imports/test_retail_sums.py",
        "tests/integration/notifications/test_processes.py",
        "tests/simulation/test_crash_points.py",
        "tests/simulation/test_simulate.py",
        "tests/unit/imports/test_retail_interrupted.py",
    }
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = slow_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Whole files, as they come; of the files in APART single tests."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def unit_of(nodeid: str) -> str:
    """What goes to one process as a whole: a file, or a test."""
    file, _, _ = nodeid.partition("::")
    return nodeid if file in APART else file


def slow_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Those marked `long` before all others, with what else goes along with them; the rest by folder."""
    units_with_long = {unit_of(item.nodeid) for item in items if item.get_closest_marker("long")}

    def rank(item: pytest.Item) -> tuple[bool, bool, int]:
        _, folder, *_ = PurePath(item.nodeid).parts
        unit, file = unit_of(item.nodeid), item.nodeid.partition("::")[0]
        return unit not in units_with_long, file not in SLOW, FOLDERS.index(folder) if folder in FOLDERS else 0

    return sorted(items, key=rank)

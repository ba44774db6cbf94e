"""Which tests run, and how hard: the plugin behind COUNTERFOIL_TEST_PROFILE and COUNTERFOIL_TEST_REQUIRE_ALL.

`short` (the default) leaves out what is marked `long` and says how many; `long` runs it, with more examples.
With COUNTERFOIL_TEST_REQUIRE_ALL=1 nothing may be skipped: a test that would be is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

PROFILES = ("short", "long")

set_hypothesis_home_dir(Path(__file__).parent.parent / ".cache" / "hypothesis")
# A deadline per example would measure the other tests on the machine, not this one.
settings.register_profile("short", deadline=None, max_examples=50, stateful_step_count=30)
# With the library's own fifty steps, three times the short profile. More would prove little more, and take minutes.
settings.register_profile(
    "long", deadline=None, max_examples=100, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)


def pytest_configure() -> None:
    settings.load_profile(profile())


def profile() -> str:
    name = os.environ.get("COUNTERFOIL_TEST_PROFILE", "short")
    if name not in PROFILES:
        raise pytest.UsageError(f"COUNTERFOIL_TEST_PROFILE={name}: there are {' and '.join(PROFILES)}")
    return name


def everything_is_required() -> bool:
    return os.environ.get("COUNTERFOIL_TEST_REQUIRE_ALL", "") == "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if item.get_closest_marker("long") and profile() != "long"]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if everything_is_required() and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, and nothing may be: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if everything_is_required() and report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped, and nothing may be: {report.longrepr}"
    return report

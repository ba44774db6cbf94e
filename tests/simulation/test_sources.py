"""Nothing that a simulation runs looks at a clock, throws dice or makes an id that is not under the seed."""

from __future__ import annotations

import ast

import pytest

from commandside.payments.settle import settle
from commandside.saga import checkout
from counterfoil.simulation.dice import Part, dice_of
from counterfoil.simulation.loop import VirtualLoop
from counterfoil.simulation.sources import READ_TIME, WRITE_LINES, under_the_seed
from tests.rules.sources import Source, package_files
from tests.rules.test_imports import imported

# What a run has something else in the place of, or has no use for.
NOT_RUN = (
    "commandside/api/", "commandside/audit.py", "commandside/payments/http_provider.py",
    "commandside/payments/stripe_provider.py",
    "commandside/event_store/loop_", "commandside/event_store/postgres", "commandside/event_store/recorder",
    "commandside/event_store/turns", "projections/notifications/", "projections/search/", "projections/signals/",
    "projections/generations.py", "projections/valkey.py", "projections/view_projection.py", "projections/writes.py",
)  # fmt: skip
# Of streams: what the worker and the relay of a run are made of.
RUN_OF_STREAMS = (
    "streams/agents.py", "streams/chunk_reading.py", "streams/dead_letter_topic.py", "streams/envelope.py",
    "streams/feeder.py", "streams/forgotten.py", "streams/places.py", "streams/topics.py",
)  # fmt: skip
OUTSIDE = ("time", "random", "secrets", "uuid_utils")
CALLS = ("uuid1", "uuid4", "uuid7", "now", "utcnow", "today")
# Its clock and its dice are arguments, which `under_the_seed` gives it.
GIVEN = "commandside.payments.settle"


def run_sources() -> list[Source]:
    packages = ("domain", "commandside", "projections")
    run = [s for s in package_files() if s.package in packages and not s.path.startswith(NOT_RUN)]
    return run + [s for s in package_files() if s.path in RUN_OF_STREAMS]


def looks_outside(source: Source) -> bool:
    if any(name.split(".")[0] in OUTSIDE for name in imported(source)):
        return True
    return any(isinstance(node, ast.Attribute) and node.attr in CALLS for node in ast.walk(source.tree))


def test_every_module_that_looks_outside_is_given_something_else() -> None:
    found = {source.module for source in run_sources() if looks_outside(source)}
    assert found == {GIVEN, *(module.__name__ for module in READ_TIME)}


def test_every_module_that_writes_lines_is_heard() -> None:
    found = {source.module for source in run_sources() if "structlog.get_logger" in source.text}
    assert found == {module.__name__ for module in WRITE_LINES}


@pytest.mark.parametrize(
    "text", ["import time", "from random import random", "import datetime\ndatetime.datetime.now()"]
)
def test_a_look_outside_is_found(text: str) -> None:
    assert looks_outside(Source("x.py", text))


def test_afterwards_all_is_as_it_was() -> None:
    before = [vars(module)["time"] for module in READ_TIME], dict(settle.__kwdefaults__ or {})
    loop = VirtualLoop()

    with under_the_seed(loop, dice_of(1, Part.SOURCES)) as lines:
        assert vars(checkout)["time"].monotonic() == loop.time()
        vars(checkout)["_log"].error("something", order_id="1")

    assert lines.faults == ["something: {'order_id': '1'}"]
    assert ([vars(module)["time"] for module in READ_TIME], settle.__kwdefaults__) == before
    loop.close()

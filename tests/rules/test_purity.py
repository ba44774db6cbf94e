"""Decide and evolve are functions of their arguments: time, ids and prices come in, and nothing but values goes out."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.rules.sources import Source, package_files
from tests.rules.test_imports import imported, under


@dataclass(frozen=True)
class Pure:
    """The modules below `paths`, but for `besides`. Of what is not the standard library they import `may_use` only."""

    paths: tuple[str, ...]
    may_use: tuple[str, ...]
    besides: tuple[str, ...] = ()

    def has(self, source: Source) -> bool:
        return source.path.startswith(self.paths) and source.path not in self.besides


# `register_topic` gives an event its topic, and stands in the library's other module.
DOMAIN = Pure(("domain/",), ("domain", "eventsourcing.domain", "eventsourcing.utils.register_topic"))
DECISIONS = Pure(
    (
        "commandside/commands/", "commandside/handlers/", "commandside/problems.py", "commandside/representations.py",
        "commandside/saga/starting.py", "commandside/saga/concluding.py", "commandside/saga/unfinished.py",
        "commandside/payments/payment.py",
    ),
    (
        "domain", "commandside.aggregates", "commandside.commands", "commandside.handlers", "commandside.problems",
        "commandside.representations", "commandside.saga.starting", "commandside.saga.concluding",
        "commandside.saga.unfinished", "commandside.payments.payment",
        "msgspec", "pydantic",
    ),
)  # fmt: skip
# What evolves views, and what they are. The others are the writers of the read stores.
VIEWS = Pure(
    ("projections/",),
    ("domain", "projections", "msgspec"),
    besides=(
        "projections/valkey.py", "projections/view_projection.py", "projections/writes.py",
        "projections/generations.py",
        "projections/search/projection.py", "projections/search/tables.py", "projections/search/beside.py",
        "projections/search/opensearch_client.py", "projections/search/opensearch_feed.py",
        "projections/search/opensearch_generations.py", "projections/search/opensearch_rows.py",
        "projections/search/opensearch_state.py",
    ),
)  # fmt: skip
PURE = {"domain": DOMAIN, "decisions": DECISIONS, "views": VIEWS}

# A clock, a dice, a place to wait or a way out: what makes a rerun differ from the first run.
IMPURE_MODULES = (
    "asyncio", "concurrent", "contextvars", "http", "io", "logging", "multiprocessing", "os", "pathlib", "platform",
    "queue", "random", "secrets", "select", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile",
    "threading", "time", "urllib",
)  # fmt: skip
# By whatever name they are called, and where they are only handed on: `default_factory=uuid4`, `partial(dt.now)`.
IMPURE_NAMES = frozenset({
    "now", "utcnow", "today", "clock", "datetime_now_with_tzinfo",
    "uuid1", "uuid4", "uuid6", "uuid7", "uuid8", "getnode",
})  # fmt: skip
IMPURE_CALLS = ("open", "print", "input")


def impurities(source: Source, pure: Pure) -> list[str]:
    """What in a module is neither its own, nor the standard library's, nor a function of arguments."""
    may_use = (*sys.stdlib_module_names, *pure.may_use)
    found = [
        f"{source.path} imports {name}"
        for name in imported(source)
        if under(name, IMPURE_MODULES) or not under(name, may_use) or name.split(".")[-1] in IMPURE_NAMES
    ]
    return found + [f"{source.path}:{line} uses {what}" for line, what in _impure_uses(source)]


def _impure_uses(source: Source) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name, ctx=ast.Load()) if name in IMPURE_NAMES:
                yield node.lineno, ast.unparse(node)
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                yield node.lineno, name
            case ast.AsyncFunctionDef(name=name):
                yield node.lineno, f"async {name}"


@pytest.mark.parametrize("name", PURE)
def test_what_decides_and_what_evolves_is_pure(name: str) -> None:
    sources = [source for source in package_files() if PURE[name].has(source)]
    assert len(sources) >= 10
    found = [line for source in sources for line in impurities(source, PURE[name])]
    assert not found, "\n".join(found)


def test_every_module_that_is_named_is_there() -> None:
    paths = {source.path for source in package_files()}
    for pure in PURE.values():
        assert set(pure.besides) <= paths
        assert [path for path in pure.paths if not any(found.startswith(path) for found in paths)] == []


def test_every_evolve_of_a_view_is_looked_at() -> None:
    evolving = [source for source in package_files() if source.package == "projections" and _defines_evolve(source)]
    assert len(evolving) >= 4
    assert [source.path for source in evolving if not VIEWS.has(source)] == []


def _defines_evolve(source: Source) -> bool:
    return any(isinstance(node, ast.FunctionDef) and node.name == "evolve" for node in source.tree.body)


@pytest.mark.parametrize("name", PURE)
@pytest.mark.parametrize(
    "text",
    [
        "from fastapi import FastAPI",
        "from eventsourcing.postgres import PostgresDatastore",
        "from eventsourcing.utils import get_topic",
        "import structlog",
        "import redis",
        "from commandside.writer import Writer",
        "import time",
        "from time import monotonic",
        "from random import random",
        "from datetime import datetime\nat = datetime.now(tz=None)",
        "from datetime import datetime as dt\ndef handle():\n    return dt.now(UTC)",
        "import datetime\nat = datetime.datetime.now()",
        "from datetime import date\nday = date.today()",
        "from functools import partial\nmake = partial(datetime.now, UTC)",
        "def handle(aggregates, command, clock):\n    return clock()",
        "def handle(aggregates, command, context):\n    return context.clock()",
        "from uuid import uuid4",
        "from uuid import uuid4 as new_id\nid = new_id()",
        "import uuid\nid = uuid.uuid4()",
        "import uuid\nmake = field(default_factory=uuid.uuid4)",
        "from uuid_utils import uuid7",
        "text = open('x')",
        "print('x')",
        "async def evolve(view, event):\n    return view",
    ],
)
def test_an_impurity_is_found(name: str, text: str) -> None:
    assert impurities(Source("x.py", text), PURE[name]) != []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("domain", "import pydantic"),
        ("domain", "import msgspec"),
        ("decisions", "from commandside.event_store import EventStore"),
        ("decisions", "from commandside.payments.port import PaymentProvider"),
        ("views", "from psycopg import AsyncConnection"),
        ("views", "import pydantic"),
    ],
)
def test_what_is_not_for_that_place_is_found(name: str, text: str) -> None:
    assert len(impurities(Source("x.py", text), PURE[name])) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "domain",
            "from datetime import datetime\nfrom uuid import UUID, uuid5\nfrom eventsourcing.domain import Aggregate\n"
            "item = StockItem.open('x', event.timestamp)\n",
        ),
        (
            "decisions",
            "import msgspec\nfrom commandside.handlers.context import Context\nexpires_at = context.cause.at + ttl\n",
        ),
        (
            "views",
            "from msgspec.structs import replace\nfrom projections.versions import advance\nat = event.timestamp",
        ),
    ],
)
def test_what_is_pure_is_not(name: str, text: str) -> None:
    assert impurities(Source("x.py", text), PURE[name]) == []

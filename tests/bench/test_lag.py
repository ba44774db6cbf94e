"""The benchmark in small: that it ends, and that every command that was answered was seen. Never how soon."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bench import lag
from bench.report import Report
from bench.server import server
from tests.fixtures.stack import require_stack

SECONDS, ROUNDS, COMMANDS_PER_SECOND = 0.5, 1, 50


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with server(None) as url:
        yield url


@pytest.mark.timeout(300)
@pytest.mark.parametrize("through_kafka", [False, pytest.param(True, marks=pytest.mark.long)])
def test_lag(server_url: str, through_kafka: bool) -> None:
    if through_kafka:
        require_stack("kafka")
    report = Report()
    lag.run(report, server_url, SECONDS, ROUNDS, commands_per_second=COMMANDS_PER_SECOND, through_kafka=through_kafka)

    result = json.loads(report.as_json())
    figures, counts = result["figures"], result["counts"]
    for form in ("embedded", "kafka") if through_kafka else ("embedded",):
        assert counts[f"lag.{form}_seen"] == counts[f"lag.{form}_commands"] == SECONDS * COMMANDS_PER_SECOND
        assert 0 < figures[f"lag.{form}_p50_milliseconds"] <= figures[f"lag.{form}_p99_milliseconds"]
        assert figures[f"lag.{form}_commands_per_second"] > 0

"""Each benchmark in small: that it ends, names what it measured, and finds everything correct. Never how fast it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench import append, checkout, hot_sku, project, rebuild, rehydrate, replay
from bench.report import Report
from bench.server import server
from tests.fixtures.stack import require_stack

SECONDS, ROUNDS = 0.4, 1


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with server(None) as url:
        yield url
        with psycopg.connect(url) as connection:
            left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'counterfoil_bench%'")
            assert left.fetchall() == []


def found(report: Report) -> Any:
    return json.loads(report.as_json())


def test_append(server_url: str) -> None:
    report = Report()
    append.run(report, server_url, SECONDS, ROUNDS, clients_counts=(1, 64))

    result = found(report)
    assert result["ratios"].keys() == {"append.vs_library", "append.vs_pgbench"}
    assert result["figures"].keys() == {
        f"append.{name}_{clients}_events_per_second" for name in ("ours", "library", "pgbench") for clients in (1, 64)
    }
    assert all(figure > 0 for figure in result["figures"].values())
    for name in ("ours", "library"):
        assert result["counts"][f"append.{name}_stored"] == result["counts"][f"append.{name}_answered"] > 0


def test_hot_sku(server_url: str) -> None:
    report = Report()
    hot_sku.run(report, server_url, SECONDS, ROUNDS)

    result = found(report)
    assert result["ratios"].keys() == {
        "hot_sku.vs_update",
        "hot_sku.vs_skip_locked",
        "hot_sku.two_processes_vs_update",
    }
    counts = result["counts"]
    for who in ("", "two_processes_", "update_", "skip_locked_"):
        assert result["figures"][f"hot_sku.{who or 'ours_'}reservations_per_second"] > 0
        assert counts[f"hot_sku.{who}sold"] == counts[f"hot_sku.{who}units"] > 0
        assert counts[f"hot_sku.{who}reserved_units"] == counts[f"hot_sku.{who}units"]
        assert counts[f"hot_sku.{who}refused"] == hot_sku.CLIENTS_COUNT
        assert counts[f"hot_sku.{who}oversold"] == 0


def test_checkout(server_url: str) -> None:
    report = Report()
    checkout.run(report, server_url, SECONDS, ROUNDS)

    result = found(report)
    assert result["ratios"].keys() == {
        "checkout.vs_reference_shop",
        "checkout.nothing_vs_reference_shop",
        "checkout.p99_over_p50",
    }
    counts = result["counts"]
    for who in ("", "reference_"):
        assert result["figures"][f"checkout.{who or 'ours_'}checkouts_per_second"] > 0
        assert counts[f"checkout.{who}placed"] == counts[f"checkout.{who}charged"] > 0
        assert counts[f"checkout.{who}units_sold"] == 3 * counts[f"checkout.{who}placed"]
    for who in ("ours", "reference"):
        figures = result["figures"]
        assert 0 < figures[f"checkout.{who}_p50_milliseconds"] <= figures[f"checkout.{who}_p99_milliseconds"]


def test_rehydrate(server_url: str) -> None:
    report = Report()
    rehydrate.run(report, server_url, SECONDS, ROUNDS, histories_events=(10, 3_000))

    result = found(report)
    assert result["ratios"].keys() == {"rehydrate.long_over_short"}
    assert result["figures"].keys() == {
        f"rehydrate.{way}_{length}_events_milliseconds" for way in ("cached", "cold") for length in (10, 3_000)
    }
    assert result["counts"] == {"rehydrate.history_10_events": 10, "rehydrate.history_3000_events": 3_000}


def test_replay(server_url: str) -> None:
    report = Report()
    replay.run(report, server_url, SECONDS, ROUNDS, events_count=1_500)

    result = found(report)
    assert result["ratios"].keys() == {"replay.vs_library", "replay.vs_select"}
    counts = result["counts"]
    assert counts["replay.events"] == 1_500
    for name in ("ours", "library", "select"):
        assert counts[f"replay.{name}_events"] > 0
        assert counts[f"replay.{name}_events"] % 1_500 == 0


@pytest.mark.long
def test_project(server_url: str) -> None:
    require_stack("kafka")
    report = Report()
    project.run(report, server_url, SECONDS, ROUNDS, events_count=3_000)

    result = found(report)
    assert result["ratios"].keys() == {
        "project.embedded_vs_select",
        "project.embedded_vs_select_per_core",
        "project.faust_vs_aiokafka",
    }
    counts = result["counts"]
    assert counts["project.embedded_events"] == counts["project.select_events"] == counts["project.events"] == 3_000
    assert 0 < counts["project.aiokafka_events"] < counts["project.sent_events"]


def test_rebuild(server_url: str) -> None:
    report = Report()
    rebuild.run(report, server_url, SECONDS, ROUNDS, events_count=5_000)

    result = found(report)
    assert result["ratios"].keys() == {"rebuild.vs_select"}
    assert all(figure > 0 for figure in result["figures"].values())
    counts = result["counts"]
    assert counts["rebuild.events"] == 5_000
    assert counts["rebuild.ours_events"] == counts["rebuild.select_events"] > 0
    assert counts["rebuild.differences"] == 0


def test_the_command_line(server_url: str, tmp_path: Path) -> None:
    """The table for people, and the file for programs."""
    json_file = tmp_path / "found.json"
    command = [sys.executable, "-m", "bench", "replay", "--seconds", "0.3", "--rounds", "1", "--json", str(json_file)]

    done = subprocess.run(
        [*command, "--database-url", server_url], capture_output=True, text=True, timeout=100, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "replay.vs_select" in done.stdout
    assert json.loads(json_file.read_text()).keys() == {"ratios", "figures", "counts"}


def test_a_server_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "replay", "--json", str(tmp_path / "found.json")]

    done = subprocess.run(
        [*command, "--database-url", "postgresql://nobody@127.0.0.1:1/none"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 1
    assert not (tmp_path / "found.json").exists()

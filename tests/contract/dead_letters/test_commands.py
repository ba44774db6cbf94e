"""What the command line shows of dead letters, and does about them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from projections.valkey import open_redis
from streams.dead_letters import DeadLetter, RedisDeadLetters

STREAM = UUID(int=7)


@pytest.fixture
async def put_aside(redis_url: str) -> None:
    async with open_redis(redis_url) as client:
        letter = DeadLetter(9, STREAM, 3, "order.placed.v1", "KeyError: 's9'\nwith [brackets]")
        await RedisDeadLetters(client).put("order", letter)


def run(redis_url: str, folder: Path, *arguments: str, columns: str = "80") -> subprocess.CompletedProcess[str]:
    urls = {"REDIS_URL": redis_url, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    return subprocess.run(
        [sys.executable, "-m", "counterfoil", "dead-letters", *arguments],
        env={**os.environ, **urls, "COUNTERFOIL_VAR": str(folder / "var"), "COLUMNS": columns},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.usefixtures("put_aside")
def test_they_are_listed_and_dropped_and_their_stream_stays_aside(redis_url: str, tmp_path: Path) -> None:
    listed = run(redis_url, tmp_path, "list")
    assert listed.returncode == 0, listed.stderr
    assert str(STREAM) in listed.stdout
    assert "KeyError: 's9'" in listed.stdout
    dropped = run(redis_url, tmp_path, "drop", "order", str(STREAM))
    assert "1 dropped" in dropped.stdout, dropped.stderr
    assert "There are no dead letters" in run(redis_url, tmp_path, "list").stdout


@pytest.mark.usefixtures("put_aside")
@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_each_is_a_line_that_begins_with_what_retry_is_given(redis_url: str, tmp_path: Path, columns: str) -> None:
    listed = run(redis_url, tmp_path, "list", columns=columns)
    assert listed.stdout == (
        f"order {STREAM} position 9, version 3, order.placed.v1, set aside: KeyError: 's9' with [brackets]\n"
    )
    projection, stream_id = listed.stdout.split()[:2]
    assert "1 dropped" in run(redis_url, tmp_path, "drop", projection, stream_id).stdout


@pytest.mark.usefixtures("put_aside")
def test_for_programs_each_is_an_object_on_a_line(redis_url: str, tmp_path: Path) -> None:
    listed = run(redis_url, tmp_path, "list", "--json")
    assert [json.loads(line) for line in listed.stdout.splitlines()] == [
        {
            "projection": "order",
            "position": 9,
            "stream_id": str(STREAM),
            "version": 3,
            "topic": "order.placed.v1",
            "reason": "KeyError: 's9'\nwith [brackets]",
            "set_aside": True,
        }
    ]
    run(redis_url, tmp_path, "drop", "order", str(STREAM))
    assert run(redis_url, tmp_path, "list", "--json").stdout == ""


def test_a_projection_that_is_none_is_named(redis_url: str, tmp_path: Path) -> None:
    tried = run(redis_url, tmp_path, "retry", "orders", str(STREAM))
    assert tried.returncode == 1
    assert "There is no projection 'orders'" in tried.stderr

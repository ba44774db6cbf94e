"""Relays and Kafka that die in the middle: nothing is lost or overtaken, and only a restart sends anything twice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.server import Server
from streams.relay.kafka_topics import ensure_topics
from tests.integration.relay.kafka_contents import PARTITIONS_COUNT, Place, contents, ensure_all_there_in_order
from tests.integration.relay.relays import (
    UNHURRIED,
    RelayProcess,
    checkpoint,
    last_position,
    patiently,
    relay_process,
    running,
    told,
    until_all_is_relayed,
    until_relayed,
    writers,
)

pytestmark = pytest.mark.long
APPENDS_COUNT = 250  # of each of sixteen writers
STOP_TIMEOUT_SECONDS = 30
NOTICED_WITHIN_SECONDS = 9


async def test_a_killed_relay_goes_on_where_it_was(
    database_url: str, kafka: Server, since: dict[Place, int], tmp_path: Path
) -> None:
    async with writers(database_url, APPENDS_COUNT) as busy:
        for n in (1, 2):
            with relay_process(database_url, kafka, tmp_path) as relay:
                await patiently(relay.leads, bool)
                await until_relayed(database_url, n * 1_000)
                relay.process.kill()
        with relay_process(database_url, kafka, tmp_path) as relay:
            await busy.end()
            await until_all_is_relayed(database_url)

    assert checkpoint(database_url)[0] >= 3
    ensure_all_there_in_order(contents(kafka.address, since), database_url)


async def test_another_relay_takes_over_from_a_killed_leader(
    database_url: str, kafka: Server, since: dict[Place, int], tmp_path: Path
) -> None:
    with (
        relay_process(database_url, kafka, tmp_path / "first") as first,
        relay_process(database_url, kafka, tmp_path / "second") as second,
    ):
        leader, other = await leader_and_other(first, second)
        assert not await other.leads()
        assert await other.missing() == [], "one that stands by is ready"
        async with writers(database_url, APPENDS_COUNT) as busy:
            await until_relayed(database_url, 1_000)
            leader.process.kill()
            await patiently(other.leads, bool)
            await busy.end()
        await until_all_is_relayed(database_url)

    assert checkpoint(database_url)[0] >= 2
    ensure_all_there_in_order(contents(kafka.address, since), database_url)


async def test_a_frozen_leader_is_replaced_and_changes_nothing_when_it_wakes(
    database_url: str, kafka: Server, since: dict[Place, int], tmp_path: Path
) -> None:
    with (
        relay_process(database_url, kafka, tmp_path / "first") as first,
        relay_process(database_url, kafka, tmp_path / "second") as second,
    ):
        leader, other = await leader_and_other(first, second)
        async with writers(database_url, APPENDS_COUNT) as busy:
            await until_relayed(database_url, 1_000)
            os.kill(leader.process.pid, signal.SIGSTOP)
            try:
                await patiently(other.leads, bool)
                await busy.end()
                await until_all_is_relayed(database_url)
            finally:
                os.kill(leader.process.pid, signal.SIGCONT)
        await patiently(leader.leads, lambda leads: not leads)
        await patiently(other.leads, bool)
        assert checkpoint(database_url)[1] == last_position(database_url)

    ensure_all_there_in_order(contents(kafka.address, since), database_url)


async def test_while_kafka_is_dead_commands_go_on_and_nothing_is_lost_or_repeated(
    database_url: str, kafka: Server, since: dict[Place, int]
) -> None:
    async with running(database_url, kafka, **UNHURRIED) as relay:
        async with writers(database_url, APPENDS_COUNT) as busy:
            await until_relayed(database_url, 1_000)
            kafka.kill()
            await busy.end()
        await patiently(told(relay.troubles), lambda troubles: "kafka" in troubles)
        assert checkpoint(database_url)[1] < last_position(database_url), "Kafka died too late to prove anything"
        assert relay.behind_seconds > 0
        kafka.start()
        await until_all_is_relayed(database_url)
        await patiently(told(relay.troubles), lambda troubles: troubles == {})
        await patiently(told(lambda: relay.behind_seconds), lambda seconds: seconds == 0)

    assert checkpoint(database_url)[0] == 1, "it is the same leader still"
    repeated_count = ensure_all_there_in_order(contents(kafka.address, since), database_url)
    assert repeated_count == 0


async def test_a_relay_without_kafka_says_so_and_begins_when_it_comes(
    database_url: str, kafka: Server, since: dict[Place, int], tmp_path: Path
) -> None:
    kafka.kill()
    with relay_process(database_url, kafka, tmp_path) as relay:
        async with writers(database_url, 10) as busy:
            await busy.end()
        await patiently(relay.missing, lambda missing: missing == ["kafka"])
        kafka.start()
        await until_all_is_relayed(database_url)
        await patiently(relay.missing, lambda missing: missing == [])
        relay.process.terminate()
        assert await asyncio.to_thread(relay.process.wait, STOP_TIMEOUT_SECONDS) in (0, -signal.SIGTERM)
    assert "Traceback" not in relay.log.read_text()
    ensure_all_there_in_order(contents(kafka.address, since), database_url)


@pytest.mark.parametrize("missing", ["DATABASE_URL", "KAFKA_URL"])
def test_without_an_address_it_says_what_to_do(missing: str, tmp_path: Path) -> None:
    given = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "KAFKA_URL": "127.0.0.1:1"}
    environment = {name: value for name, value in {**os.environ, **given}.items() if name not in (missing, "REDIS_URL")}
    ended = subprocess.run(
        [sys.executable, "-m", "counterfoil", "relay"],
        env={**environment, "COUNTERFOIL_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=STOP_TIMEOUT_SECONDS,
        check=False,
    )
    assert ended.returncode == 1
    assert missing in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_it_ends_where_the_topics_have_another_shape(database_url: str, kafka: Server, tmp_path: Path) -> None:
    await ensure_topics(kafka.address, PARTITIONS_COUNT)
    with relay_process(database_url, kafka, tmp_path, partitions_count=3) as relay:
        assert await asyncio.to_thread(relay.process.wait, STOP_TIMEOUT_SECONDS) == 1
    assert "COUNTERFOIL_KAFKA_PARTITIONS=3" in relay.log.read_text()


async def leader_and_other(first: RelayProcess, second: RelayProcess) -> tuple[RelayProcess, RelayProcess]:
    async def which_lead() -> list[bool]:
        return [await first.leads(), await second.leads()]

    async def are_up() -> bool:
        return bool(await first.ask("/healthz") and await second.ask("/healthz"))

    await patiently(are_up, bool)
    first_leads, second_leads = await patiently(which_lead, any)
    assert not (first_leads and second_leads)
    return (first, second) if first_leads else (second, first)


async def test_a_kafka_that_stands_still_is_noticed_by_who_waits_for_it(
    database_url: str, kafka: Server, since: dict[Place, int]
) -> None:
    """It keeps its connections, so that nothing fails for a long time."""
    async with running(database_url, kafka, **UNHURRIED) as relay:
        async with writers(database_url, APPENDS_COUNT) as busy:
            await until_relayed(database_url, 1_000)
            assert kafka.pid is not None
            os.kill(kafka.pid, signal.SIGSTOP)
            try:
                async with asyncio.timeout(NOTICED_WITHIN_SECONDS):
                    await patiently(told(relay.troubles), lambda troubles: "kafka" in troubles)
            finally:
                os.kill(kafka.pid, signal.SIGCONT)
            await busy.end()
        await until_all_is_relayed(database_url)
        await patiently(told(relay.troubles), lambda troubles: troubles == {})
    ensure_all_there_in_order(contents(kafka.address, since), database_url)

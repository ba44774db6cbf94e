"""Each event that a customer is told of is told once, whatever comes how often, and whoever is killed meanwhile."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from redis.asyncio import Redis

from domain.aggregates import Order
from projections.recorded import Recorded
from streams.notifications.notifier import Letter, ServerAway
from streams.notifications.postman import ATTEMPTS_LIMIT_COUNT, CLAIM_SECONDS, NAME
from tests.fixtures.ports import free_port
from tests.integration.notifications.mail_server import Mailbox, mail_server
from tests.integration.notifications.post import HISTORY, Post, cause, delivered, refunded
from tests.integration.signals.selling import Log, order, submitted

RETRY_SECONDS = 60


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def post(redis_client: Redis, log: Log, smtp_url: str) -> Post:
    return Post(redis_client, log, smtp_url)


def ids(*letters: tuple[Order, int]) -> dict[str, int]:
    return {f"<{made.order_id}.{version}@shop.example>": 1 for made, version in letters}


async def test_a_customer_is_told_of_what_happened_and_of_nothing_else(post: Post, log: Log, mailbox: Mailbox) -> None:
    made, pending = refunded(1), submitted(2, "lamp")
    await post.told(log.record(made, pending))
    await post.carried()
    # Several are on their way at once: one may overtake another.
    assert sorted(subject.split(" order")[0] for subject in mailbox.subjects) == [
        "Thank you for your", "Your", "Your", "Your refund for"
    ]  # fmt: skip
    assert mailbox.keys == ids((made, 2), (made, 4), (made, 5), (made, 8))
    assert {str(letter["To"]) for letter in mailbox.taken} == {"ada@customers.example"}
    assert await post.outbox.waiting_count() == 0


@pytest.mark.parametrize("seed", range(3))
async def test_duplicates_disorder_and_several_partitions_tell_nobody_twice(
    post: Post, log: Log, mailbox: Mailbox, seed: int
) -> None:
    random = Random(seed)  # noqa: S311 (the same every time)
    made = [delivered(number) for number in range(1, 9)]
    events = log.record(*made)
    told = events * 2
    random.shuffle(told)
    while told:
        batch, told = told[:7], told[7:]
        await post.told(batch, f"order-events:{random.randrange(3)}")
        if random.random() < 0.5:
            await post.carried()
    await post.carried()
    assert mailbox.keys == ids(*((one, version) for one in made for version in (2, 4, 5)))


async def test_two_postmen_share_the_letters(post: Post, log: Log, mailbox: Mailbox) -> None:
    made = [order(number, "lamp") for number in range(1, 41)]
    await post.told(log.record(*made))
    mailbox.slow_seconds = 0.01
    await asyncio.gather(post.carried(), post.carried())
    assert mailbox.keys == ids(*((one, 2) for one in made))


async def test_a_postman_that_is_killed_after_the_letter_was_taken_sends_it_again_under_its_one_name(
    post: Post, log: Log, mailbox: Mailbox
) -> None:
    """What cannot be promised, and is said to be so: at least once, then."""
    made = order(1, "lamp")
    await post.told(log.record(made))
    mailbox.slow_seconds = 0.3
    carrying = asyncio.create_task(post.carried())
    await asyncio.sleep(0.1)
    carrying.cancel()
    await asyncio.wait([carrying], timeout=RETRY_SECONDS)
    mailbox.slow_seconds = 0
    await post.carried()
    assert sum(mailbox.keys.values()) <= 1, "it is the dead one's for a while"
    post.now += timedelta(seconds=CLAIM_SECONDS + 1)
    await post.carried()
    assert set(mailbox.keys) == set(ids((made, 2)))


async def test_letters_wait_while_the_server_is_away(redis_client: Redis, log: Log, mailbox: Mailbox) -> None:
    port = free_port()
    post = Post(redis_client, log, f"smtp://127.0.0.1:{port}")
    made = [order(number, "lamp") for number in range(1, 31)]
    await post.told(log.record(*made))
    for _ in range(ATTEMPTS_LIMIT_COUNT + 2):
        with pytest.raises(ServerAway):
            await post.carried()
    assert await post.outbox.waiting_count() == 30
    with mail_server(mailbox, port):
        await post.carried()
    assert mailbox.keys == ids(*((one, 2) for one in made))
    assert await post.dead_letters.letters(NAME) == []


async def test_a_letter_that_is_not_taken_is_tried_again_and_given_up_in_the_end(
    post: Post, log: Log, mailbox: Mailbox
) -> None:
    first, second = order(1, "lamp"), order(2, "lamp")
    await post.told(log.record(first))
    mailbox.answers.extend(["450 later"] * 3)
    for _ in range(4):
        await post.carried()
        post.now += timedelta(minutes=15)
    assert mailbox.keys == ids((first, 2))
    await post.told(log.record(second))
    mailbox.answers.extend(["450 later"] * ATTEMPTS_LIMIT_COUNT)
    for _ in range(ATTEMPTS_LIMIT_COUNT):
        await post.carried()
        post.now += timedelta(minutes=15)
    (letter,) = await post.dead_letters.letters(NAME)
    assert letter.stream_id == second.id
    assert "not taken" in letter.reason
    assert await post.outbox.waiting_count() == 0


async def test_one_that_is_refused_becomes_a_dead_letter_and_can_be_sent_again_by_hand(
    post: Post, log: Log, mailbox: Mailbox, redis_url: str, tmp_path: Path
) -> None:
    made = order(1, "lamp")
    await post.told(log.record(made))
    mailbox.answers.append("550 no")
    await post.carried()
    assert mailbox.taken == []
    command = [sys.executable, "-m", "counterfoil", "dead-letters"]
    urls = {"REDIS_URL": redis_url, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "COLUMNS": "200"}
    environment = {**os.environ, **urls, "COUNTERFOIL_VAR": str(tmp_path / "var")}
    listed = await asyncio.to_thread(
        subprocess.run, [*command, "list"], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert "refused: " in listed.stdout
    retrying = await asyncio.create_subprocess_exec(*command, "retry", NAME, str(made.id), env=environment)
    async with asyncio.timeout(RETRY_SECONDS):
        while retrying.returncode is None:
            await post.carried()
            await asyncio.sleep(0.05)
    assert retrying.returncode == 0
    assert mailbox.keys == ids((made, 2))
    assert await post.dead_letters.letters(NAME) == []


async def test_a_history_is_not_written_about(post: Post, log: Log, mailbox: Mailbox) -> None:
    old = log.record(order(1, "lamp"))
    post.log_end = log.position
    new = order(2, "lamp")
    await post.told([*old, *log.record(new)])
    await post.carried()
    assert mailbox.keys == ids((new, 2))


async def test_what_is_too_long_ago_is_passed_over(post: Post, log: Log, mailbox: Mailbox) -> None:
    events = log.record(order(1, "lamp"))
    post.now += HISTORY
    await post.told(events)
    await post.carried()
    assert mailbox.taken == []
    assert await post.outbox.waiting_count() == 0


async def test_a_letter_that_waited_too_long_becomes_a_dead_one(post: Post, log: Log, mailbox: Mailbox) -> None:
    await post.told(log.record(order(1, "lamp")))
    post.now += HISTORY
    await post.carried()
    assert mailbox.taken == []
    assert [letter.reason for letter in await post.dead_letters.letters(NAME)] == ["could not be sent for too long"]


async def test_an_order_that_was_repaired_is_told_of_once(post: Post, log: Log, mailbox: Mailbox) -> None:
    made = order(1, "lamp")
    events = log.record(made)
    projection = post.projection()
    await projection.checkpoint()
    await projection.apply([Recorded(9, events[0].event)], 9)
    for _ in range(2):
        await projection.repair(made.id)
    await post.carried()
    assert mailbox.keys == ids((made, 2))


class Losing:
    """Takes letters, and loses its answer to some."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def send(self, letter: Letter) -> None:
        self.keys.append(letter.key)
        if len(self.keys) == 1:
            raise ServerAway("the answer was lost")


async def test_a_lost_answer_sends_a_letter_again_under_the_same_name(redis_client: Redis, log: Log) -> None:
    notifier = Losing()
    post = Post(redis_client, log, "", notifier)
    made = order(1, "lamp")
    made.cancel(None, cause(1))
    await post.told(log.record(made))
    with pytest.raises(ServerAway):
        await post.carried()
    await post.carried()
    assert sorted(notifier.keys) in (
        [f"{made.order_id}.2", f"{made.order_id}.2", f"{made.order_id}.3"],
        [f"{made.order_id}.2", f"{made.order_id}.3", f"{made.order_id}.3"],
    )

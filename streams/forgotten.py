"""What a Kafka partition does not hold, from the log: a view is never made of the rest alone.

Kafka forgets (retention), and a topic may be younger than the log. Whoever begins with a partition reads the log from
what the store holds up to the first message that is there; whatever comes later in the log comes later in Kafka, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Protocol
from uuid import UUID

from eventsourcing.persistence import MapperDeserialisationError

from projections.recorded import Recorded
from streams.feeder import CannotGoOn, Feeder
from streams.patience import Patience

WINDOW_POSITIONS: Final = 10_000
# A script keeps all readers of the store waiting.
BATCH_SIZE_EVENTS: Final = 500


class TopicLog(Protocol):
    """The events of the log that belong into one topic. Raises psycopg.Error, and MapperDeserialisationError."""

    async def window(self, after: int, up_to: int) -> list[Recorded]: ...


async def fill(
    log: TopicLog,
    feeders: Mapping[str, Feeder],
    partition_of: Callable[[UUID], str],
    up_to: int,
    patience: Patience,
    between: Callable[[], Awaitable[None]],
) -> int:
    """Brings the partitions (name -> its feeder) up to that position. Returns how many events of the log that took.

    The log is read once for all of them; `between` is awaited after each window of it. Every checkpoint is true at any
    moment: who is stopped here goes on from there. Raises CheckpointLost and what Feeder.feed raises, the stores'
    errors after too long an outage, and CannotGoOn for an event that this program is too old to read.
    """
    held = {name: await patience.until_done(feeder.projection.checkpoint) for name, feeder in feeders.items()}
    after, events_count = min(held.values(), default=up_to), 0
    while after < up_to:
        end = min(after + WINDOW_POSITIONS, up_to)
        try:
            events = await patience.until_done(partial(log.window, after, end))
        except MapperDeserialisationError as error:
            raise CannotGoOn(f"an event in the log that this program does not know how to read: {error}") from error
        shares: dict[str, list[Recorded]] = {name: [] for name, position in held.items() if position < end}
        for recorded in events:
            name = partition_of(recorded.event.originator_id)
            if name in shares and recorded.position > held[name]:
                shares[name].append(recorded)
        for name, share in shares.items():
            events_count += len(share)
            for begin in range(0, len(share), BATCH_SIZE_EVENTS):
                batch = share[begin : begin + BATCH_SIZE_EVENTS]
                await patience.until_done(partial(feeders[name].feed, batch, batch[-1].position))
            await patience.until_done(partial(feeders[name].feed, [], end))
        await between()
        after = end
    return events_count

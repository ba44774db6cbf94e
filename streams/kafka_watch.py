"""Whether Kafka answers: a consumer that waits for messages does not notice that nobody is there to send any."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

ASK_EVERY_SECONDS: Final = 2.0
ANSWER_TIMEOUT_SECONDS: Final = 3.0
_log = structlog.get_logger(__name__)


class KafkaWatch:
    """`trouble` says why it does not answer; None while it does."""

    def __init__(self, kafka_url: str, topic: str) -> None:
        """`topic`: any one; what there is to know of it is what is asked."""
        self.trouble: str | None = None
        self._kafka_url = kafka_url
        self._topic = topic

    async def run(self) -> None:
        """Until cancelled."""
        # What it says itself about a broker that is away, the consumer has said by then.
        admin = AdminClient({"bootstrap.servers": self._kafka_url, "client.id": "counterfoil-watch", "log_level": 0})
        while True:
            await self._ask(admin)
            await asyncio.sleep(ASK_EVERY_SECONDS)

    async def _ask(self, admin: AdminClient) -> None:
        try:
            await asyncio.to_thread(admin.list_topics, self._topic, timeout=ANSWER_TIMEOUT_SECONDS)
        except KafkaException as error:
            if self.trouble is None:
                _log.warning("kafka_does_not_answer", error=str(error))
            self.trouble = f"does not answer: {error}"
        else:
            if self.trouble is not None:
                _log.info("kafka_answers_again")
            self.trouble = None

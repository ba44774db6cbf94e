from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.kafka import kafka_server
from ops.server import Server
from tests.fixtures.stack import require_stack
from tests.integration.relay.kafka_contents import Place, ends


@pytest.fixture(scope="package")
def relays_kafka() -> Iterator[Server]:
    """These tests' own, because the names of the topics are fixed, and because some of them stop it."""
    require_stack("kafka")
    with tempfile.TemporaryDirectory(prefix="counterfoil-test-relay-") as folder, kafka_server(Path(folder)) as server:
        yield server


@pytest.fixture
def kafka(relays_kafka: Server) -> Server:
    """Running, whatever the test before did to it."""
    relays_kafka.start()
    return relays_kafka


@pytest.fixture
def since(kafka: Server) -> dict[Place, int]:
    """Where this test's messages begin."""
    return ends(kafka.address)

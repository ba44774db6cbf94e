"""No part loads the client of what it is not configured to use: that is memory in each, and time at every start."""

from __future__ import annotations

import subprocess
import sys

import pytest

TIMEOUT_SECONDS = 60
NOT_WITHOUT_BEING_ASKED = (
    "aiokafka", "alembic", "confluent_kafka", "cryptography.hazmat.primitives.ciphers.aead", "faust", "opensearchpy",
    "requests", "sqlalchemy", "stripe", "typer",
)  # fmt: skip


def loaded_by(module: str) -> set[str]:
    program = f"import sys, counterfoil.part, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=TIMEOUT_SECONDS
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("part", ["command_api", "query_api", "projector", "provider"])
def test_a_part_of_the_embedded_shop_loads_no_client_of_what_it_does_without(part: str) -> None:
    assert loaded_by(f"counterfoil.processes.{part}").isdisjoint(NOT_WITHOUT_BEING_ASKED)


@pytest.mark.parametrize("part", ["query_api", "projector", "provider"])
def test_only_who_asks_the_payment_provider_loads_a_client_of_http(part: str) -> None:
    assert loaded_by(f"counterfoil.processes.{part}").isdisjoint({"aiohttp", "urllib3"})


@pytest.mark.parametrize("module", ["projections.search.opensearch_client", "commandside.payments.stripe_provider"])
def test_the_rule_can_fail(module: str) -> None:
    assert not loaded_by(module).isdisjoint(NOT_WITHOUT_BEING_ASKED)

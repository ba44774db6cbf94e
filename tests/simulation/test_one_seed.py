"""One seed, one history: in this process and in another, whatever Python hashes strings to there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from counterfoil.simulation.run import run
from counterfoil.simulation.scenario import draw
from tests.rules.sources import PROJECT

ELSEWHERE = """
import hashlib, sys
from counterfoil.simulation.run import run
from counterfoil.simulation.scenario import draw
print(hashlib.sha256(run(draw(int(sys.argv[1]))).to_bytes()).hexdigest())
"""


@pytest.mark.parametrize("seed", [3, 4])
def test_a_seed_gives_the_same_history_byte_for_byte(seed: int) -> None:
    first = run(draw(seed)).to_bytes()

    assert run(draw(seed)).to_bytes() == first
    assert len(first) > 100_000


@pytest.mark.parametrize("hash_seed", ["1", pytest.param("2", marks=pytest.mark.long)])
def test_in_another_process_too(hash_seed: str) -> None:
    elsewhere = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, "5"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        timeout=60,
        check=True,
        capture_output=True,
        text=True,
    )
    assert elsewhere.stdout.strip() == hashlib.sha256(run(draw(5)).to_bytes()).hexdigest()


def test_another_seed_gives_another_history() -> None:
    assert run(draw(6)).to_bytes() != run(draw(7)).to_bytes()

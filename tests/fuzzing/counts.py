"""How much is asked: by profile, and so that all of it together is what was promised."""

from __future__ import annotations

from typing import Final

from tests.profiles import profile

# Per operation; each is asked by everybody.
CASES_COUNT: Final = {"short": 5, "long": 450}[profile()]
# The least that each test has asked when it is done.
REQUESTS_COUNT: Final = {
    "short": {"command": 300, "query": 150, "scenarios": 200},
    "long": {"command": 30_000, "query": 14_500, "scenarios": 5_500},
}[profile()]
PROMISED_COUNT: Final = {"short": 650, "long": 50_000}[profile()]

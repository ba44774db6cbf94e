"""compose.yaml as the tests read it."""

from __future__ import annotations

from typing import Any

import yaml

from tests.rules.sources import PROJECT

PART_COMMAND = ["python", "-m", "counterfoil.part"]


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text())
    return read


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def our_services() -> dict[str, dict[str, Any]]:
    """Those that run our image."""
    return {name: service for name, service in services().items() if "build" in service}

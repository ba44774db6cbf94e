"""Where a server cannot run, the tests that need it are skipped, and say why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.missing import MissingError
from tests.fixtures import stack


def test_what_is_missing_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_there(name: str, **_: Any) -> Path:
        raise MissingError("Maven is missing")

    monkeypatch.setattr(stack, "program", Path)
    monkeypatch.setattr(stack, "jars", nothing_there)
    with pytest.raises(pytest.skip.Exception, match="no kafka here: Maven is missing"):
        stack.require_stack("kafka")


def test_a_fetched_one_without_a_java_cannot_run_either(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_java(name: str) -> Path:
        raise MissingError(f"{name} of a Java from 17 to 22 is missing")

    monkeypatch.setattr(stack, "program", no_java)
    with pytest.raises(pytest.skip.Exception, match="no opensearch here: java of a Java"):
        stack.require_stack("opensearch")

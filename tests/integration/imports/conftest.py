from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.settings import Settings
from tests.profiles import everything_is_required

REAL_FILE = Path(__file__).resolve().parents[4] / "shared" / "data" / "online-retail-sample.csv"


@pytest.fixture
def settings_of(tmp_path: Path) -> Callable[..., Settings]:
    def make(**given: str) -> Settings:
        return Settings(var=tmp_path / "var", **given)  # type: ignore[arg-type]

    return make


@pytest.fixture
def real_file() -> Path:
    """The year of a real shop, where the data lies beside the project."""
    if not REAL_FILE.exists() and not everything_is_required():
        pytest.skip("the file online-retail-sample.csv is not there: ../shared/data is not part of the project")
    assert REAL_FILE.exists(), f"{REAL_FILE} is required"
    return REAL_FILE

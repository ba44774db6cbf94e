from __future__ import annotations

from tests.integration.imports.conftest import real_file

__all__ = ["real_file"]

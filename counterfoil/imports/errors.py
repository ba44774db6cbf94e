from __future__ import annotations

from counterfoil.embedded.errors import CannotStartError


class ImportStopped(CannotStartError):
    """The import cannot begin or go on; the message says why and what to do. What was written stands."""

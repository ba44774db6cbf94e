"""Brings the database's tables to this release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

import counterfoil.migrations
from counterfoil.embedded.errors import CannotStartError

if TYPE_CHECKING:
    from counterfoil.settings import Settings


def main(settings: Settings) -> None:
    """Raises CannotStartError when the database does not answer."""
    if settings.database_url is None:
        raise CannotStartError("There is no database: set DATABASE_URL, or start the shop.")
    config = Config()
    config.set_main_option("script_location", str(Path(counterfoil.migrations.__file__).parent).replace("%", "%%"))
    config.attributes["database_url"] = make_url(settings.database_url).set(drivername="postgresql+psycopg")
    try:
        command.upgrade(config, "head")
    except OperationalError as error:
        raise CannotStartError(f"The database does not answer: {error.orig}") from error

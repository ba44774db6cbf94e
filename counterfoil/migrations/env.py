"""Run by alembic: every revision in one transaction, under a lock, so that two starts at once migrate once."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool, text

LOCK_TIMEOUT_SECONDS = 30
# Any number will do that nobody else of this database uses.
MIGRATION_LOCK = 0x636F756E


def run() -> None:
    engine = create_engine(context.config.attributes["database_url"], poolclass=pool.NullPool)
    with engine.begin() as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        context.configure(connection=connection, version_table="counterfoil_revision")
        with context.begin_transaction():
            context.run_migrations()


run()

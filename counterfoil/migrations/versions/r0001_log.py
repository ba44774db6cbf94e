"""The event store."""

from alembic import op

from commandside.event_store.schema import CREATE

revision = "0001"
down_revision = None


def upgrade() -> None:
    # Straight to the driver: the text is SQL as it stands, with colons and per cent signs of its own.
    op.get_bind().exec_driver_sql(CREATE)


def downgrade() -> None:
    raise NotImplementedError("history is never taken away: restore a backup instead")

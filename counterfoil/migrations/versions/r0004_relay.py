"""The relay's place in the log."""

from alembic import op

from streams.relay.schema import CREATE

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(CREATE)


def downgrade() -> None:
    op.execute("DROP SCHEMA relay CASCADE")

"""Search on Postgres."""

from alembic import op

from projections.search.schema import CREATE

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(CREATE)


def downgrade() -> None:
    op.execute("DROP SCHEMA search CASCADE")

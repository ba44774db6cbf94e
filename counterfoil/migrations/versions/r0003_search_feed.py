"""What is suggested while typing; which rows changed, for an index elsewhere; a checkpoint per partition."""

from alembic import op

from projections.search.schema import FEED, WITHOUT_FEED

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(FEED)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(WITHOUT_FEED)

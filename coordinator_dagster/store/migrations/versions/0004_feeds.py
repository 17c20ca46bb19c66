"""What the feeds met, and when a gap is asked for again; the SQL stands in 0004_feeds.sql."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())

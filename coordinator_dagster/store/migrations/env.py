"""Runs the migrations inside the caller's transaction, in the competition's schema."""

from alembic import context
from sqlalchemy import text

connection = context.config.attributes["connection"]
schema = context.config.attributes["schema"]
connection.execute(text(f'set local search_path = "{schema}"'))
context.configure(connection=connection, version_table_schema=schema, transaction_per_migration=False)
context.run_migrations()

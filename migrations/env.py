"""Runs the migrations on the connection that the caller passes in; there is no configuration file."""

from alembic import context

connection = context.config.attributes["connection"]

# batch_alter_table would rebuild the log's table and silently drop its triggers, so it is never used.
context.configure(connection=connection, target_metadata=None, render_as_batch=False)
with context.begin_transaction():
    context.run_migrations()

"""What alembic runs: the migrations, on the connection and in the transaction of its caller."""

from alembic import context

from flagpost.postgres.migrations import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], **VERSION_TABLE)
context.run_migrations()

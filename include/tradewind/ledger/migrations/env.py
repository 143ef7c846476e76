"""What Alembic runs: the migrations, on the connection that :mod:`tradewind.ledger.database` hands over."""

from __future__ import annotations

from alembic import context

from tradewind.ledger.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

"""The journal and the champions, both append-only."""

from __future__ import annotations

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

_TABLES = ("tradewind_journal", "tradewind_champions")


def upgrade() -> None:
    """Create both tables, and triggers that refuse every change of what is written."""
    from alembic import op

    _journal()
    _champions()
    if op.get_bind().dialect.name == "sqlite":
        _protect_sqlite()
    else:
        _protect_postgresql()


def downgrade() -> None:
    """There is no way back: what is written in the ledger stays."""
    raise NotImplementedError("the ledger is append-only; restore a backup instead")


def _journal() -> None:
    import sqlalchemy as sa
    from alembic import op

    op.create_table(
        "tradewind_journal",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("partition", sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("pipeline", "kind", "key", name="tradewind_journal_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("tradewind_journal_lookup", "tradewind_journal", ["pipeline", "kind", "subject", "partition"])


def _champions() -> None:
    import sqlalchemy as sa
    from alembic import op

    key = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")
    op.create_table(
        "tradewind_champions",
        sa.Column("pipeline", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("model_name", sa.Text, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("effective_from", key, nullable=False),
        sa.Column("decided_at", key),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
    )


def _protect_sqlite() -> None:
    from alembic import op

    for table in _TABLES:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _protect_postgresql() -> None:
    from alembic import op

    op.execute(
        "CREATE FUNCTION tradewind_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in _TABLES:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION tradewind_append_only()"
        )

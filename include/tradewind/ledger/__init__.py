"""The append-only journal of who decided what, when and why (SQLAlchemy; SQLite or PostgreSQL).

Open `journal` first: entries are appended and found, never changed. The other modules give one kind of entry each
its verbs (champions, holds, pins, releases, shadows …). `schema` and `migrations` hold the tables.
May import `core` and below.
"""

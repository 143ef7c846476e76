"""Audits of staged rows with Great Expectations, computed by DuckDB.

Open `audit` first: staged rows and a suite go in, an `Audit` with one result per check and an HTML report come out.
Nothing here decides what a failed audit means; `etl` does.
May import `engine`, `lake`, `pages` and below.
"""

"""SQL on Arrow and Parquet, run by DuckDB with no access to files or network.

SQL text and registered datasets go in; a stream of record batches or Parquet files comes out. Open `query` first;
`database` opens locked connections, `determinism` decides when threads and row order must be fixed.
May import `core` and below. Knows nothing of pipelines, the lake or the ledger.
"""

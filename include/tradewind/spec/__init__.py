"""The pipeline YAML as frozen models, and everything that is said about a wrong one.

Text enters through `load`; a `Pipeline` with no dict in it comes out. Open `pipeline` first, then `document`
(positions in the text) and `problems` (error messages). `check*` hold the rules between fields; `source_kinds`,
`drift_tests` and `alert_channels` list what the YAML may name; `policy` has promotion, monitor, retrain and alerts.
A new field of the YAML: here, its rule in `check*`, then docs/*.schema.json by `tradewind schema`.
May import `errors`. Imports neither Airflow nor an SDK.
"""

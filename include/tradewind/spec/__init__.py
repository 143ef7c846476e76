"""The pipeline YAML as frozen models, and everything that is said about a wrong one.

Text enters through `load`; a `Pipeline` with no dict in it comes out. Open `pipeline` first, then `document`
(positions in the text) and `problems` (error messages). `check*` hold the rules between fields; `drift_tests` and
`alert_channels` list what the YAML may name.
May import `errors`. Imports neither Airflow nor an SDK.
"""

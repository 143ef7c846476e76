"""Pure decisions and statistics: plain values in, `(outcome, reason, evidence)` out.

Gates, drift (each test a file, such as `drift_psi`), bootstrap, latency, retraining policy; also what every room needs
and none owns: the `runtime` (where a deployment keeps its things), time-outs, secrets in messages, disk errors. Open
`gates`, `drift` or `retraining` first.
May import `spec` and `errors`. Imports neither Airflow nor an SDK; nothing here reads a file or a table.
"""

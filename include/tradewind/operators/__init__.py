"""Airflow operators, one module a stage: thin.

`execute` builds the runtime, calls one function of the stage's room, logs the outcome and returns ids. Open `base`
and `stage` first: they hold the partition key, retries by kind of error, and waiting for earlier partitions.
May import everything but `factory`, `ui`, `cli`, `scaffold`, `local_airflow`.
"""

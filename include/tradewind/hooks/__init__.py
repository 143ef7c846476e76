"""Airflow connections, read into plain values, and the client of Airflow's REST API.

`tradewind` builds the runtime of a deployment from its connection; `mlflow` and `airflow_connections` do so for
what lies outside; `airflow_api` starts and reads runs.
May import `core` and `spec`; the first room that imports Airflow.
"""

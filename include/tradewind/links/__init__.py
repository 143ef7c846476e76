"""Operator extra links: from a task in the Airflow UI to its evidence.

One module a kind of evidence (report, MLflow run).
May import `hooks` and below.
"""

"""Airflow DAGs of this file's YAML."""

from tradewind.factory.dags import dags_of

globals().update(dags_of(__file__))

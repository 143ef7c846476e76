"""Airflow DAG that looks after all pipelines of this folder."""

from tradewind.factory.upkeep import upkeep_of

globals().update(upkeep_of(__file__))

"""Tradewind: production machine-learning models on Apache Airflow."""

__version__ = "0.1.0"

-- Runs once, when the volume is empty: one database each for MLflow and for Tradewind (ledger, Feast registry).
CREATE DATABASE mlflow;
CREATE DATABASE tradewind;

"""Measures of predictions: metrics, fairness, and the rows, groups and blocks that they are computed on.

Open `metric_list` first: the built-in metrics, one entry each; `metric` says what a metric is. Arrays go in, numbers
come out, or how a number is computed when whole blocks are drawn again. Lies below `spec`, so that a gate declares
what it measures where it declares its YAML.
May import `errors`. Imports neither Airflow nor an SDK.
"""

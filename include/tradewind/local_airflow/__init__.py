"""A whole Airflow on one machine, for `tradewind up` and `demo`.

`home` is its folder, `settings` its environment, `supervisor` starts and watches its processes, `running_airflow`
finds and stops it; `demo`, `flight_landing` and `replay` play a year of flights.
May import `operators` and below.
"""

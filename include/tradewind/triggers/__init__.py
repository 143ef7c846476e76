"""Airflow triggers: waiting without a worker slot.

Constructor parameters are the serialised fields; `run` never blocks the loop.
May import `hooks` and below.
"""

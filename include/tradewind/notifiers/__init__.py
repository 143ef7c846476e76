"""Airflow callbacks: failures and missed deadlines become incidents.

Idempotent: a killed worker calls twice, a killed task not at all.
May import `hooks`, `alerting` and below.
"""

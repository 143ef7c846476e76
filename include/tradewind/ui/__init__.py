"""The Airflow plugin: the overview page, the state of a pipeline as a picture, reports behind Airflow's login.

Open `plugin` first, then `app` (routes, each of which asks for Airflow's user).
May import `factory`, `planning` and below.
"""

"""The `features` stage and the feature store: Feast over the lake at pinned versions.

Open `stage` first: it applies definitions and writes one window online. `feature_join` gives values as they were
known at each entity's time; `online_skew` compares both; `online/` holds the fast writers, each behind Feast's own
tables.
May import `etl` and below.
"""

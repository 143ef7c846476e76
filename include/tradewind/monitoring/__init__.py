"""The `monitor` stage: profiles of each partition, drift against the baseline, realised performance.

Open `profile_rows` (what is counted) and `partition_judgement` (what it means) first. Small tables in the lake and
one page a partition go out; whether to train is decided in `retraining`.
May import `scoring` and below.
"""

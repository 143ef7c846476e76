"""Datasets at rest: Delta tables that are written partition by partition.

`dataset` is the way in: stage rows (`staging`), publish them in one compare-and-swap commit (`publish`), read a
pinned version (`snapshot`). Digests, corrections, vacuum and erasure of old versions are here too.
May import `engine`, `core` and below. Does not know what a dataset is for.
"""

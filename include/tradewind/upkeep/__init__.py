"""Housekeeping for all pipelines: heartbeat, vacuum, archive, erasure.

One module a duty, each a function over one pipeline that can be run again at any time; the operators of
`tradewind__upkeep` and the commands call them.
May import `retraining` and below.
"""

"""Incidents: many failures of one cause are one open problem, announced once, closed by what heals it.

Open `incidents` first: report, close, list. `lasting_conditions` are incidents without a failed task; `channels` sends
a new one to each channel (`log_channel` is one); `model_alarms` looks at decay, drift, rejections, missing champions.
May import `lake`, `ledger` and below.
"""

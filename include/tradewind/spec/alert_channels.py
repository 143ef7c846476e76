"""The alert channels that the YAML may name; `docs/extending.md` shows how one is added."""

from __future__ import annotations

from collections.abc import Mapping

# By name: the module that holds the channel, and its name there. It is imported by what sends, not here.
ALERT_CHANNELS: Mapping[str, str] = {
    "log": "tradewind.alerting.log_channel:LOG_CHANNEL",
}

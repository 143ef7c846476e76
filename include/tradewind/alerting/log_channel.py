"""The log as an alert channel: one line at ERROR."""

from __future__ import annotations

import json
import logging

from tradewind.alerting.alert_channel import AlertChannel, AlertMessage

log = logging.getLogger("tradewind.incidents")


def log_alert(message: AlertMessage) -> None:
    """Write what happened, where the evidence is, and what to do."""
    log.error(
        "INCIDENT pipeline=%s stage=%s task=%s partition=%s error=%s owner=%s what=%s evidence=%s do=%s",
        message.pipeline,
        message.stage,
        message.task or "-",
        ",".join(message.partitions) or "-",
        message.error_type,
        message.owner or "-",
        json.dumps(message.what, ensure_ascii=False),
        json.dumps(message.evidence or "-", ensure_ascii=False),
        json.dumps(message.next_step, ensure_ascii=False),
    )


LOG_CHANNEL = AlertChannel("log", log_alert)

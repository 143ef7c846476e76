"""The Airflow plugin: timetable, reports behind Airflow's own login, and the overview page."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from tradewind.factory.timetable import PartitionTimetable
from tradewind.ui.app import app


class TradewindPlugin(AirflowPlugin):
    """Registers what Airflow itself must know."""

    name = "tradewind"
    timetables = [PartitionTimetable]  # noqa: RUF012 - Airflow reads class attributes
    fastapi_apps = [{"app": app, "url_prefix": "/tradewind", "name": "tradewind"}]  # noqa: RUF012 - as above
    external_views = [  # noqa: RUF012 - as above
        {"name": "Tradewind", "href": "/tradewind/", "destination": "nav", "url_route": "tradewind", "category": "browse"}
    ]

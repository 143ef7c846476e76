"""The Airflow plugin: timetable, reports behind Airflow's own login, and the overview page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.plugins_manager import AirflowPlugin

from tradewind.factory.deadline import NewPartitionQueued
from tradewind.factory.timetable import PartitionTimetable

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class PagesApp:
    """The pages, built on the first request: every process of Airflow imports its plugins, only one serves pages."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on to the application."""
        from tradewind.ui.app import app

        await app(scope, receive, send)


class TradewindPlugin(AirflowPlugin):
    """Registers what Airflow itself must know."""

    name = "tradewind"
    timetables = [PartitionTimetable]  # noqa: RUF012 - Airflow reads these attributes of the class
    deadline_references = [NewPartitionQueued]  # noqa: RUF012
    fastapi_apps = [{"app": PagesApp(), "url_prefix": "/tradewind", "name": "tradewind"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Tradewind",
            "href": "/tradewind/",
            "destination": "nav",
            "url_route": "tradewind",
            "category": "browse",
        }
    ]

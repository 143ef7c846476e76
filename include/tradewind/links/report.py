"""Link from a task to the report of what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import BaseOperator


class ReportLink(BaseOperatorLink):
    """Opens the self-contained HTML report of a task."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """The report's address, or nothing when the task wrote none."""
        return str(getattr(operator, "report_url", "") or "")


def report_url(report: Path | str, *, reports: Path) -> str:
    """Address under which the plugin serves ``report``, a file below ``reports``."""
    from pathlib import Path

    return f"/tradewind/reports/{Path(report).resolve().relative_to(reports.resolve()).as_posix()}"

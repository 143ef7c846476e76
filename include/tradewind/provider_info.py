"""What Airflow is told about this provider."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata, in the form of Airflow's ``provider_info`` schema."""
    return {
        "package-name": "airflow-provider-tradewind",
        "name": "Tradewind",
        "description": "The whole life of production machine-learning models, one YAML file a pipeline.",
        "integrations": [{"integration-name": "Tradewind", "external-doc-url": "", "tags": ["software"]}],
        "hooks": [
            {"integration-name": "Tradewind", "python-modules": ["tradewind.hooks.tradewind", "tradewind.hooks.mlflow"]}
        ],
        "connection-types": [
            {
                "connection-type": "mlflow",
                "hook-class-name": "tradewind.hooks.mlflow.MlflowHook",
                "hook-name": "MLflow",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema"],
                    "relabeling": {"host": "Tracking server", "login": "User"},
                    "placeholders": {"host": "http://mlflow", "port": "5000"},
                },
                "conn-fields": {
                    "tracking_uri": _text(
                        "Tracking URI", "In place of host and port, for example sqlite:///mlflow.db."
                    ),
                    "ui_url": _text("Address of MLflow's pages", "What the links of tasks open."),
                },
            },
            {
                "connection-type": "tradewind",
                "hook-class-name": "tradewind.hooks.tradewind.TradewindHook",
                "hook-name": "Tradewind",
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "schema", "login", "port"],
                    "relabeling": {"password": "Ledger password"},
                    "placeholders": {},
                },
                "conn-fields": {
                    "project": _text("Project root", "The folder that holds dags/ and include/."),
                    "lake": _text("Lake", "Root of the Delta tables: a path or s3://bucket/prefix."),
                    "landing": _text("Landing zone", "What {landing} in a pipeline's YAML stands for."),
                    "ledger": _text("Ledger", "SQLAlchemy URL; {password} stands for the password above."),
                    "feast_registry": _text("Feast registry", "SQLAlchemy URL."),
                    "feast_online": _text("Feast online store", 'JSON, for example {"type": "sqlite", "path": "…"}.'),
                    "reports": _text("Reports", "Folder of the HTML reports."),
                },
            },
        ],
        "extra-links": ["tradewind.links.mlflow.MlflowRunLink", "tradewind.links.report.ReportLink"],
        "plugins": [{"name": "tradewind", "plugin-class": "tradewind.ui.plugin.TradewindPlugin"}],
    }


def _text(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}

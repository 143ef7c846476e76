"""The order in which the datasets of a pipeline are built."""

from __future__ import annotations

from collections.abc import Mapping

from tradewind.errors import SpecError
from tradewind.spec.pipeline import DatasetSpec


def dataset_order(datasets: Mapping[str, DatasetSpec]) -> list[str]:
    """Names of the datasets, each after all that it reads; otherwise in the order of the YAML.

    :raises SpecError: datasets read each other in a circle, or one reads a dataset that does not exist
    """
    for name, dataset in datasets.items():
        for read in dataset.inputs:
            if read not in datasets:
                raise SpecError(f"datasets.{name}.inputs.{read}: there is no dataset `{read}`")
    circle = find_cycle(datasets)
    if circle:
        raise SpecError(f"datasets read each other in a circle: {' → '.join(circle)}; remove one of these inputs")
    order: list[str] = []
    for name in datasets:
        _visit(name, datasets, order)
    return order


def find_cycle(datasets: Mapping[str, DatasetSpec]) -> list[str]:
    """One circle of datasets that read each other, its first name again at the end; empty if there is none.

    Inputs that do not exist are passed over.
    """
    done: set[str] = set()
    for name in datasets:
        found = _circle(name, datasets, [], done)
        if found:
            return found
    return []


def _visit(name: str, datasets: Mapping[str, DatasetSpec], order: list[str]) -> None:
    if name not in order:
        for read in datasets[name].inputs:
            _visit(read, datasets, order)
        order.append(name)


def _circle(name: str, datasets: Mapping[str, DatasetSpec], path: list[str], done: set[str]) -> list[str]:
    if name in path:
        return [*path[path.index(name) :], name]
    if name in done or name not in datasets:
        return []
    for read in datasets[name].inputs:
        found = _circle(read, datasets, [*path, name], done)
        if found:
            return found
    done.add(name)
    return []

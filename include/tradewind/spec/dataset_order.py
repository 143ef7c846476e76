"""The order in which the datasets of a pipeline are built."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from tradewind.errors import SpecError
from tradewind.spec.pipeline import DatasetSpec


def dataset_order(datasets: Mapping[str, DatasetSpec]) -> list[str]:
    """Names of the datasets, each after all that it reads; the same for the same YAML.

    :raises SpecError: datasets read each other in a circle, or one reads a dataset that does not exist
    """
    for name, dataset in datasets.items():
        for read in dataset.inputs:
            if read not in datasets:
                raise SpecError(f"datasets.{name}.inputs.{read}: there is no dataset `{read}`")
    circle = find_cycle(datasets)
    if circle:
        raise SpecError(f"datasets read each other in a circle: {' → '.join(circle)}; remove one of these inputs")
    return list(_sorter(datasets).static_order())


def find_cycle(datasets: Mapping[str, DatasetSpec]) -> list[str]:
    """One circle of datasets that read each other, its first name again at the end; empty if there is none.

    Inputs that do not exist are passed over.
    """
    try:
        _sorter(datasets).prepare()
    except CycleError as exc:
        # The library names each before the one that reads it; the YAML names what a dataset reads.
        found: list[str] = exc.args[1]
        return found[::-1]
    return []


def _sorter(datasets: Mapping[str, DatasetSpec]) -> TopologicalSorter[str]:
    sorter = TopologicalSorter[str]()
    for name in datasets:
        sorter.add(name)  # all first, so that the order of the YAML stays where nothing else decides
    for name, dataset in datasets.items():
        sorter.add(name, *(read for read in dataset.inputs if read in datasets))
    return sorter

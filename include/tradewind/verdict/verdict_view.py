"""What the sections of the verdict's page are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind.ledger.journal import Entry
    from tradewind.spec.pipeline import Pipeline
    from tradewind.training.picture_data import VerdictPictures


@dataclass(frozen=True, slots=True)
class VerdictView:
    """A verdict and what is known around it.

    :param entry: the ledger's entry of kind ``verdict``
    :param pictures: what to draw; None if nothing was kept
    :param trained: the ledger's entry of kind ``trained`` of the candidate: the data that it comes from
    """

    spec: Pipeline
    entry: Entry
    pictures: VerdictPictures | None = None
    trained: Entry | None = None

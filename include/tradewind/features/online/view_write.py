"""One feature view of one window into the online store."""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.features.online.encoded_rows import WriteLayout, read_encoded_chunks
from tradewind.features.online.online_stores import find_online_store
from tradewind.features.online.write_layout import plan_write_layout

if TYPE_CHECKING:
    import pyarrow.dataset as pads
    from feast import FeatureStore, FeatureView

    from tradewind.features.feature_window import FeatureWindow, WindowCounts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WrittenView:
    """What happened to one view.

    :param rows: rows of the window
    :param entities: entities that have one
    :param kept: entities whose online values are newer and were left as they were; None if Feast wrote, which does not
        say
    :param by: ``tradewind``, or ``feast`` and why
    """

    rows: int
    entities: int
    kept: int | None
    by: str


def keeps_newer_values(store: FeatureStore, view: FeatureView, rows: pads.Dataset) -> bool:
    """Whether a newer online value stays in its place, whatever the window."""
    return isinstance(plan_write_layout(store, view, rows.schema), WriteLayout)


def write_view_online(
    store: FeatureStore, view: FeatureView, rows: pads.Dataset, *, window: FeatureWindow, found: WindowCounts
) -> WrittenView:
    """Write the newest row of each entity in ``window``, by Arrow columns where that is possible, else by Feast.

    :param rows: the view's dataset, at least the partitions that the window reaches
    :param found: what :func:`tradewind.features.feature_window.check_window_rows` found in it
    """
    plan = plan_write_layout(store, view, rows.schema)
    # The registry may know these definitions from another online store, or this one was emptied.
    store._get_provider().online_store.update(store.config, [], [view], [], [], True)
    kept: int | None = None
    if isinstance(plan, WriteLayout):
        kept, by = (
            _write_encoded(store, view, plan, rows, window=window, unique=found.rows == found.entities),
            "tradewind",
        )
    else:
        by = f"feast: {plan}"
        with contextlib.redirect_stdout(io.StringIO()):  # Feast prints its progress, with colours
            store.materialize(window.start, window.end, feature_views=[str(view.name)])
    written = WrittenView(found.rows, found.entities, kept, by)
    log.info(
        "%s: view %s, %s to %s into %s by %s: %d rows read, %d entities, %s kept because newer",
        *(store.project, view.name, window.start, window.end, store.config.online_store.type, by),
        *(found.rows, found.entities, "unknown" if kept is None else kept),
    )
    return written


def _write_encoded(
    store: FeatureStore,
    view: FeatureView,
    plan: WriteLayout,
    rows: pads.Dataset,
    *,
    window: FeatureWindow,
    unique: bool,
) -> int:
    writer = find_online_store(store.config.online_store.type).writer
    assert writer is not None, "a view with a layout"
    stream = read_encoded_chunks(
        rows,
        plan,
        (window.start, window.end),
        unique=unique,
        ordered=writer.ordered,
        texts=writer.texts,
        suffix=store.project.encode() if writer.suffixed else b"",
    )
    with contextlib.closing(stream):
        kept = writer.write(store, view, plan, stream)
    assert store.registry is not None
    store.registry.apply_materialization(view, store.project, window.start, window.end)
    return kept

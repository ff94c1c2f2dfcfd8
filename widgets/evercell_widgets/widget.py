"""The run on the page: a table that is always there, and a live layer over it.

    display_data      text/html: the static table in <div class="evercell-view KEY">
    update_display_data            the same again, once a second while something happens
    comm KEY          RunWidget: never displayed itself; its script finds the <div> by its class
                      and draws the live picture in place of the table

A widget's view in an output becomes "Error displaying widget" once its kernel has died, because
the widget's MIME type wins over the HTML beside it. So the output holds HTML only: whatever
happens to kernel, script or page, a saved notebook has a readable table, at most a second old.
Display id and comm ids begin with `VIEW_PREFIX`, so that recording a cell can leave them out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets
from IPython.core.getipython import get_ipython
from ipywidgets import Layout

from evercell.cell.outputs import VIEW_PREFIX
from evercell_widgets.feeder import EventSource, Feeder
from evercell_widgets.static import html_table, text_table

if TYPE_CHECKING:
    from evercell.clock import Clock
    from evercell_widgets.snapshot import Snapshot

__all__ = ["RunDisplay", "RunWidget"]

_STATIC = Path(__file__).parent / "static"


class RunWidget(anywidget.AnyWidget):
    """The live layer's model. `snapshot` is whole and at most a second old, for a page that has
    just been opened; `delta` is what changed since the frame before."""

    _esm = _STATIC / "run.js"
    _css = _STATIC / "run.css"
    key = traitlets.Unicode().tag(sync=True)
    snapshot = traitlets.Dict().tag(sync=True)
    delta = traitlets.Dict().tag(sync=True)


class RunDisplay:
    """One place on the page that follows a run until it is closed."""

    def __init__(self, source: EventSource, *, clock: Clock, live: bool = True) -> None:
        self.key = VIEW_PREFIX + clock.new_id()
        self._widget: RunWidget | None = None
        self._feeder = Feeder(
            source, frame=self._on_frame, still=self._on_still, clock=clock, prompt=not live
        )
        first = self._feeder.start()
        if live:
            layout = Layout(model_id=f"{self.key}-layout")
            self._widget = RunWidget(
                model_id=self.key, layout=layout, key=self.key, snapshot=dict(first)
            )
        publish(bundle(first, self.key), self.key)

    def close(self) -> None:
        """Leave the static table as it is now, and end the live layer."""
        last = self._feeder.close()
        publish(bundle(last, self.key), self.key, update=True)
        if self._widget is not None:
            layout = self._widget.layout
            self._widget.close()
            layout.close()
            self._widget = None

    def _on_frame(self, picture: Snapshot) -> None:
        if (widget := self._widget) is not None:
            widget.delta = dict(picture)

    def _on_still(self, picture: Snapshot) -> None:
        if (widget := self._widget) is not None:
            widget.snapshot = dict(picture)
        publish(bundle(picture, self.key), self.key, update=True)


def bundle(picture: Snapshot, key: str = "") -> dict[str, str]:
    """The picture as a MIME bundle that needs nothing from anybody."""
    name = f"evercell-view {key}".rstrip()
    return {
        "text/plain": text_table(picture),
        "text/html": f'<div class="{name}">{html_table(picture)}</div>',
    }


def publish(data: dict[str, str], display_id: str | None = None, *, update: bool = False) -> None:
    """Show `data` in the cell that runs, or show it where `display_id` was shown. May be called
    on any thread. Outside IPython it is printed."""
    shell: Any = get_ipython()
    if shell is None:
        if not update:
            print(data["text/plain"])  # noqa: T201 - there is no other place to show it
        return
    transient = {"display_id": display_id} if display_id else {}
    shell.display_pub.publish(data, transient=transient, update=update)

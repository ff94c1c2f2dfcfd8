"""The run on the page: a table that is always there, and a live layer over it.

    display_data      text/html: the static table in <div class="evercell-view KEY">
    update_display_data            the same again, once a second while something happens
    comm KEY          RunWidget: never displayed itself; its script finds the <div> by its class
                      and draws the live picture in place of the table

A widget's view in an output becomes "Error displaying widget" once its kernel has died, because
the widget's MIME type wins over the HTML beside it. So the output holds HTML only: whatever
happens to kernel, script or page, a saved notebook has a readable table, at most a second old.
Display id and comm ids begin with `VIEW_PREFIX`, so that recording a cell can leave them out.

What pages and the kernel say to each other is in `talk.py`. Where a frontend's looks wait behind
the running cell, the pages follow the trait `picture`, which shows the beginning of the run.
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
from evercell_widgets.frames import nothing
from evercell_widgets.modules import joined
from evercell_widgets.static import html_table, text_table
from evercell_widgets.talk import Talk

if TYPE_CHECKING:
    from evercell.clock import Clock
    from evercell_widgets.actions import Desk
    from evercell_widgets.frames import Frame
    from evercell_widgets.snapshot import Snapshot

__all__ = ["RunDisplay", "RunWidget", "bundle", "publish"]

_STATIC = Path(__file__).parent / "static"


class RunWidget(anywidget.AnyWidget):
    """The live layer's model. `picture` is a whole frame and at most a second old, for a page
    that has just been opened."""

    _esm = joined(_STATIC / "run.js")
    _css = _STATIC / "run.css"
    key = traitlets.Unicode().tag(sync=True)
    picture = traitlets.Dict().tag(sync=True)


class RunDisplay:
    """One place on the page that follows a run until it is closed."""

    def __init__(
        self,
        source: EventSource,
        *,
        clock: Clock,
        live: bool = True,
        desk: Desk | None = None,
        subject: str = "",
    ) -> None:
        self.key = VIEW_PREFIX + clock.new_id()
        self._widget: RunWidget | None = None
        acts = nothing if desk is None else desk.takes
        self._feeder = Feeder(
            source, self, clock=clock, prompt=not live, acts=acts, subject=subject
        )
        self._talk = Talk(self._feeder, desk, self._send)
        picture, still = self._feeder.start()
        if live:
            layout = Layout(model_id=f"{self.key}-layout")
            self._widget = RunWidget(
                model_id=self.key, layout=layout, key=self.key, picture=dict(picture)
            )
            self._widget.on_msg(self._heard)
        publish(bundle(still, self.key), self.key)

    def close(self) -> None:
        """Leave the static table as it is now, and end the live layer."""
        last = self._feeder.close()
        publish(bundle(last, self.key), self.key, update=True)
        if self._widget is not None:
            layout = self._widget.layout
            self._widget.close()
            layout.close()
            self._widget = None

    def frame(self, page: str, frame: Frame) -> None:
        """Send what `page` looks at."""
        self._talk.frame(page, frame)

    def picture(self, frame: Frame) -> None:
        """Keep the beginning of the run for pages that have not spoken."""
        if (widget := self._widget) is not None:
            widget.picture = dict(frame)

    def still(self, picture: Snapshot) -> None:
        """Show the table."""
        publish(bundle(picture, self.key), self.key, update=True)

    def _heard(self, _: Any, message: Any, __: Any) -> None:
        """A page spoke: on a subshell's thread, where the frontend uses one."""
        self._talk.hear(message)

    def _send(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        if (widget := self._widget) is not None:
            widget.send(content, buffers)


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

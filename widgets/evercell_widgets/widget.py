"""The run on the page: a table that is always there, and a live layer over it.

    display_data      text/html: the static table in <div class="evercell-view KEY">
    update_display_data            the same again, once a second while something happens
    comm KEY          RunWidget: never displayed itself; its script finds the <div> by its class
                      and draws the live picture in place of the table

A widget's view in an output becomes "Error displaying widget" once its kernel has died, because
the widget's MIME type wins over the HTML beside it. So the output holds HTML only: whatever
happens to kernel, script or page, a saved notebook has a readable table, at most a second old.
Display id and comm ids begin with `VIEW_PREFIX`, so that recording a cell can leave them out.

Messages on the comm, JSON objects (`static/link.js` is the other side):

    page -> kernel   {type: "look", page, fresh, first, count, open, status, search, inspect}
                     {type: "leave", page}
                     {type: "act", page, request, deed, run, activity, name, value}
    kernel -> page   {type: "frame", page}, with the Frame as JSON in the one buffer
                     {type: "answer", page, request, error}: durable, unless there is an error

The kernel answers a look on the thread that it comes on, a subshell's in JupyterLab: it does so
while a cell blocks. Where a frontend's looks wait behind the running cell, the pages follow the
trait `picture`, which shows the beginning of the run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import msgspec
import traitlets
from IPython.core.getipython import get_ipython
from ipywidgets import Layout

from evercell.cell.outputs import VIEW_PREFIX
from evercell.errors import EvercellError
from evercell_widgets.actions import parse_action
from evercell_widgets.feeder import EventSource, Feeder
from evercell_widgets.frames import nothing
from evercell_widgets.modules import joined
from evercell_widgets.outline import parse_look
from evercell_widgets.static import html_table, text_table

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
        self, source: EventSource, *, clock: Clock, live: bool = True, desk: Desk | None = None
    ) -> None:
        self.key = VIEW_PREFIX + clock.new_id()
        self._widget: RunWidget | None = None
        self._desk = desk
        acts = nothing if desk is None else desk.takes
        self._feeder = Feeder(source, self, clock=clock, prompt=not live, acts=acts)
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
        if (widget := self._widget) is not None:
            widget.send({"type": "frame", "page": page}, [msgspec.json.encode(frame)])

    def picture(self, frame: Frame) -> None:
        """Keep the beginning of the run for pages that have not spoken."""
        if (widget := self._widget) is not None:
            widget.picture = dict(frame)

    def still(self, picture: Snapshot) -> None:
        """Show the table."""
        publish(bundle(picture, self.key), self.key, update=True)

    def _heard(self, _: Any, message: Any, __: Any) -> None:
        """A page spoke: on a subshell's thread, where the frontend uses one."""
        match message:
            case {"type": "look", "page": str(page)}:
                look, fresh = parse_look(message), message.get("fresh") is True
                self.frame(page, self._feeder.look(page, look, fresh=fresh))
            case {"type": "leave", "page": str(page)}:
                self._feeder.leave(page)
            case {"type": "act", "page": str(page), "request": request}:
                self._answer(page, request, self._act(message))

    def _act(self, message: dict[str, Any]) -> str | None:
        """Have an action carried out. Returns what went wrong, for the person."""
        if self._desk is None:
            return "Nothing can be done from here: this run has no kernel of its own."
        try:
            self._desk.act(parse_action(message), self._feeder.approval)
        except EvercellError as error:
            return error.message
        except ValueError as error:
            return str(error)
        return None

    def _answer(self, page: str, request: Any, error: str | None) -> None:
        if (widget := self._widget) is not None:
            widget.send({"type": "answer", "page": page, "request": request, "error": error})


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

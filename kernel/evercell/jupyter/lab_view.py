"""A run in a tab of JupyterLab: the kernel's side of the run widget, without ipywidgets.

    RunWindow ── Feeder ── view state            as widget.py has it
        └── send(...) ──> the page's script, which is the run widget's own

The run is the kernel's own, followed as it records, or another one of the folder, which is read:
on from its journals if another process records it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import evercell_widgets
from evercell_widgets.feeder import Feeder
from evercell_widgets.frames import nothing
from evercell_widgets.modules import joined
from evercell_widgets.talk import Talk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from evercell.clock import Clock
    from evercell_widgets.actions import Desk
    from evercell_widgets.feeder import EventSource
    from evercell_widgets.frames import Frame
    from evercell_widgets.snapshot import Snapshot

__all__ = ["RunWindow", "widget_files"]


class RunWindow:
    """One open run of one page; a `Screen`."""

    def __init__(
        self,
        source: EventSource,
        send: Callable[..., None],
        clock: Clock,
        *,
        desk: Desk | None = None,
        subject: str = "",
    ) -> None:
        """`send(content=..., buffers=...)` takes a message to the page's script, and
        `send(picture=...)` what its model holds. `subject`: see `RunView`."""
        self._send = send
        acts = nothing if desk is None else desk.takes
        self._feeder = Feeder(source, self, clock=clock, acts=acts, subject=subject)
        self._talk = Talk(self._feeder, desk, self._say)
        self.first, _ = self._feeder.start()

    def heard(self, message: Mapping[str, Any]) -> None:
        """The page's script spoke."""
        self._talk.hear(message)

    def frame(self, page: str, frame: Frame) -> None:
        """Send what `page` looks at."""
        self._talk.frame(page, frame)

    def picture(self, frame: Frame) -> None:
        """Send the beginning of the run, for a page that has not said where it looks."""
        self._send(picture=frame)

    def still(self, picture: Snapshot) -> None:
        """There is no table in a tab."""

    def close(self) -> None:
        """Stop following."""
        self._feeder.close()

    def _say(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        self._send(content=content, buffers=buffers)


@cache
def widget_files() -> dict[str, str]:
    """The run widget's script and style: the kernel's, whose frames they draw, whatever release
    JupyterLab has."""
    folder = Path(evercell_widgets.__file__).parent / "static"
    return {"esm": joined(folder / "run.js"), "css": (folder / "run.css").read_text("utf-8")}

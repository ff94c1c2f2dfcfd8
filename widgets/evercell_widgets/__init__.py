"""What people see of a run: the pure view state, a static table, and the live layer over it.

`progress(source)` follows a run where it was called; `show_status(source)` shows it once. Nothing
of Jupyter's widgets is imported before something is shown.
"""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

from evercell.clock import SystemClock
from evercell.loading import importing

if TYPE_CHECKING:
    from evercell.clock import Clock
    from evercell_widgets.actions import Desk
    from evercell_widgets.feeder import EventSource
    from evercell_widgets.widget import RunDisplay

__all__ = ["close_all", "progress", "show_status"]

_MOST = 8  # live displays at once; the oldest becomes static
_open: dict[str, RunDisplay] = {}


def progress(
    source: EventSource,
    *,
    live: bool = True,
    clock: Clock | None = None,
    desk: Desk | None = None,
    name: str = "",
    subject: str = "",
) -> None:
    """Show `source`'s run in this cell's output and keep it current, also while cells block.

    A display that an earlier call began under the same `name` becomes static. With `live=False`
    only the table is shown and updated, for a run that nobody watches in a browser. `desk` carries
    out what people want done to the run; without one, pages offer nothing. `subject`: see
    `RunView`.
    """
    with importing:
        from evercell_widgets.widget import RunDisplay  # noqa: PLC0415 - costs 70 ms

    if not _open:
        atexit.register(close_all)
    for stale in {name, *list(_open)[: len(_open) + 1 - _MOST]} & _open.keys():
        _open.pop(stale).close()
    _open[name] = RunDisplay(
        source, clock=clock or SystemClock(), live=live, desk=desk, subject=subject
    )


def show_status(source: EventSource, *, clock: Clock | None = None) -> None:
    """Show `source`'s run as it is now, as a static table."""
    with importing:
        from evercell_widgets.snapshot import snapshot  # noqa: PLC0415 - only when shown
        from evercell_widgets.view import RunView, apply_all  # noqa: PLC0415 - only when shown
        from evercell_widgets.widget import bundle, publish  # noqa: PLC0415 - costs 70 ms

    view = RunView()
    apply_all(view, source.events_so_far())
    publish(bundle(snapshot(view, now=(clock or SystemClock()).now())))


def close_all() -> None:
    """Make every open display static: before another one, and when the kernel ends."""
    while _open:
        _open.popitem()[1].close()

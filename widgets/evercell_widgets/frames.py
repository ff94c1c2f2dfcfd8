"""What each page gets to see: frames, which hold the rows in its sight that changed.

    page ── look ──> Viewers ── frame ──> page     whole at first, then what differs

A frame names all rows in sight in order and holds those that the page has not got as they are
now. Each has the next number of its page, for a frame can be lost on the way: a page that misses
one asks for a whole frame. It also has the number of the look that it shows: what it holds may be
older than what the page asked for meanwhile. Searching looks at every step, so it is done
again only so often that it takes a small share of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, TypedDict

from evercell_widgets.details import Details, details_of
from evercell_widgets.outline import Look, found_in, outline
from evercell_widgets.snapshot import Header, header_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evercell_widgets.actions import ActionData
    from evercell_widgets.rows import RowData
    from evercell_widgets.state import Execution, RunView, StepGroup, StepView, Wait

__all__ = ["Acts", "Frame", "Viewers", "frame_of", "nothing"]

_ASKED = 20  # approvals that a page shows at once
_MOST = 6  # pages that are served; one that was closed without a word goes when others come
_SHARE = 50  # a search is done again after this many times what it took


class ApprovalData(TypedDict):
    """A question to a person."""

    run: str
    activity: str
    prompt: str
    schema: str | None  # of the answer, JSON; None: yes or no
    since: int
    due: int | None
    asker: str  # the workflow or the cell that asks
    acts: bool  # whether it can be answered here


class Frame(TypedDict):
    """A picture of what a page looks at."""

    revision: int
    number: int  # of this frame among its page's since the last whole one, which is 0
    asked: int  # the number of the look that it answers
    header: Header
    total: int  # rows there are
    first: int  # index of the first row in sight
    order: list[str]  # ids of the rows in sight
    rows: list[RowData]  # of those, the ones that the page has not got
    details: Details | None
    approvals: list[ApprovalData]  # the first of those that are pending


Acts = Callable[[str], bool]


def nothing(_: str) -> bool:
    """Nothing can be done to any run."""
    return False


def frame_of(
    view: RunView,
    look: Look,
    found: Callable[..., Sequence[StepView]] = found_in,
    *,
    now: int,
    acts: Acts = nothing,
) -> Frame:
    """The whole frame of `look`. `acts` says to which runs anything can be done from here."""
    lines = outline(view, look, found)
    first = max(0, min(look.first, lines.total - look.count))
    rows = lines.window(first, look.count)
    details = details_of(view, look.inspect) if look.inspect else None
    if details is not None:
        details["actions"] = [it for it in details["actions"] if _fits(it, view, acts)]
    return {
        "revision": view.revision,
        "number": 0,
        "asked": look.asked,
        "header": header_of(view, now),
        "total": lines.total,
        "first": first,
        "order": [row["id"] for row in rows],
        "rows": rows,
        "details": details,
        "approvals": [_approval(wait, acts) for wait in islice(view.approvals.values(), _ASKED)],
    }


def _fits(action: ActionData, view: RunView, acts: Acts) -> bool:
    """Whether the action can be done now."""
    if action["deed"] != "fork":
        return acts(action["run"])
    # A workflow's fork is begun by the notebook's kernel, whatever became of the run; a notebook's
    # by who holds the history.
    return acts is not nothing if action["run"] == view.run_id else acts(view.run_id)


def _approval(wait: Wait, acts: Acts) -> ApprovalData:
    return {
        "run": wait.run_id,
        "activity": wait.activity_id,
        "prompt": wait.name,
        "schema": wait.schema,
        "since": wait.started_at,
        "due": wait.due,
        "asker": wait.execution.workflow or wait.execution.preview,
        "acts": acts(wait.run_id),
    }


@dataclass(slots=True)
class _Viewer:
    look: Look
    heard_at: float
    has: dict[str, RowData] = field(default_factory=dict)
    sent: int = 0  # frames
    search: _Search | None = None


@dataclass(slots=True)
class _Found:
    steps: Sequence[StepView]
    revision: int
    group: StepGroup


class _Search:
    """What one look finds, kept as long as looking again would cost too much."""

    def __init__(self, look: Look, monotonic: Callable[[], float]) -> None:
        self.look = look
        self.owes = False  # the latest frame may lack what came since
        self._monotonic = monotonic
        self._found: dict[tuple[str, str], _Found] = {}
        self._not_before = 0.0
        self._took = 0.0

    def begin(self) -> None:
        """Another frame is made."""
        self.owes, self._took = False, 0.0

    def end(self) -> None:
        """It is made: rest in proportion to what it took."""
        if self._took:
            self._not_before = self._monotonic() + _SHARE * self._took

    def __call__(self, execution: Execution, group: StepGroup, look: Look) -> Sequence[StepView]:
        key = execution.slot, group.name
        known = self._found.get(key)
        if known is not None and known.group is group:
            if known.revision == group.revision:
                return known.steps
            if self._monotonic() < self._not_before:
                self.owes = True
                return known.steps
        began = self._monotonic()
        steps = found_in(execution, group, look)
        self._took += self._monotonic() - began
        self._found[key] = _Found(steps, group.revision, group)
        return steps


class Viewers:
    """The pages that look at one run, and what each of them has."""

    def __init__(
        self,
        view: RunView,
        *,
        now: Callable[[], int],
        monotonic: Callable[[], float],
        acts: Acts = nothing,
    ) -> None:
        self._view, self._now, self._monotonic, self._acts = view, now, monotonic, acts
        self._viewers: dict[str, _Viewer] = {}

    def __bool__(self) -> bool:
        return bool(self._viewers)

    @property
    def owe(self) -> bool:
        """Whether a page waits for a search to be done again."""
        return any(it.search is not None and it.search.owes for it in self._viewers.values())

    def look(self, name: str, look: Look, *, fresh: bool = False) -> Frame:
        """Page `name` looks at this from now on; returns the frame for it. With `fresh`, it has
        no rows yet."""
        viewer = self._viewers.pop(name, None)
        if viewer is None or fresh:
            viewer = _Viewer(look, self._monotonic())
        viewer.look, viewer.heard_at = look, self._monotonic()
        self._viewers[name] = viewer
        while len(self._viewers) > _MOST:
            del self._viewers[next(iter(self._viewers))]
        return self._frame(viewer)

    def leave(self, name: str) -> None:
        """Page `name` looks no more."""
        self._viewers.pop(name, None)

    def frames(self) -> list[tuple[str, Frame]]:
        """A frame for each page."""
        return [(name, self._frame(viewer)) for name, viewer in self._viewers.items()]

    def _frame(self, viewer: _Viewer) -> Frame:
        look = viewer.look
        if not look.is_narrowed:
            viewer.search = None
            frame = frame_of(self._view, look, now=self._now(), acts=self._acts)
        else:
            frame = self._searched(viewer)
        rows = frame["rows"]
        has = viewer.has.get
        frame["rows"] = [row for row in rows if (had := has(row["id"])) is not row and had != row]
        frame["number"], viewer.sent = viewer.sent, viewer.sent + 1
        viewer.has = {row["id"]: row for row in rows}
        return frame

    def _searched(self, viewer: _Viewer) -> Frame:
        look, search = viewer.look, viewer.search
        asked = (look.search, look.status)
        if search is None or (search.look.search, search.look.status) != asked:
            search = viewer.search = _Search(look, self._monotonic)
        search.begin()
        frame = frame_of(self._view, look, search, now=self._now(), acts=self._acts)
        search.end()
        return frame

"""What would be restored and what would run, in words: `%evercell status`, `explain`, dry runs."""

from __future__ import annotations

import difflib
from collections import Counter
from typing import TYPE_CHECKING

from evercell.history import Cost
from evercell.readable import as_duration, clipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evercell.engine.accept import Accepted
    from evercell.engine.explain import Explanation, Input
    from evercell.engine.preview import Action, CellPreview, NotebookCell

__all__ = ["accepted_text", "cost_text", "explanation_text", "first_line", "outlook", "total_text"]

_DONE: dict[Action, str] = {
    "restore": "restored",
    "recompute": "recomputed",
    "execute": "run",
    "depends": "decided by what runs before",
}
_SAME = 12  # unchanged inputs that are named
_DIFF = 20  # lines of an edit that are shown


def outlook(previews: Sequence[CellPreview], cells: Iterable[NotebookCell]) -> str:
    """Lines for `%evercell status`: what Restart and Run All would do, and each stale cell."""
    sources = {cell.index: first_line(cell.source) for cell in cells}
    lines = [f"restart  {total_text(previews)}"]
    for each in previews:
        if each.stale:
            lines.append(f"stale    cell {each.index + 1}  {sources[each.index]}")
            lines.append(f"         {each.reason}; running it repeats {cost_text(each.cost)}")
    if len(lines) > 1:
        lines.append(
            "         %evercell explain CELL says more; %evercell accept keeps the results"
        )
    return "\n".join(lines)


def total_text(previews: Sequence[CellPreview]) -> str:
    """ "3 cells restored, 1 run (at most 8.2 s and 0.25), 1 decided by what runs before"."""
    counts = Counter(each.action for each in previews)
    parts = []
    for action, words in _DONE.items():
        if counts[action]:
            cost = sum((it.cost for it in previews if it.action == action), start=Cost())
            worth = action in ("execute", "depends") and cost.seconds > 0
            parts.append(f"{counts[action]} {words}" + (f" ({cost_text(cost)})" if worth else ""))
    return ", ".join(parts) or "there are no cells"


def cost_text(cost: Cost) -> str:
    """ "at most 8.2 s, 4 steps, 1,200 tokens and 0.25 in money"."""
    parts = [as_duration(cost.seconds)]
    if cost.steps:
        parts.append(f"{cost.steps:,} step{'' if cost.steps == 1 else 's'}")
    if cost.input_tokens or cost.output_tokens:
        parts.append(f"{cost.input_tokens + cost.output_tokens:,} tokens")
    if cost.money is not None:
        parts.append(f"{cost.money:,.4g} in money")
    head, last = parts[:-1], parts[-1]
    return f"at most {', '.join(head)} and {last}" if head else f"at most {last}"


def explanation_text(explained: Explanation, cell: NotebookCell) -> str:
    """Everything that decides about a cell, the decisive first."""
    preview = explained.preview
    lines = [
        f"cell {cell.index + 1}  {first_line(cell.source)}",
        f"would be {_DONE[preview.action]}: {preview.reason}",
    ]
    if explained.last is not None:
        lines.append(f"last time: {explained.last}")
    if preview.action != "restore":
        lines.append(f"recorded cost: {cost_text(preview.cost)}")
    if explained.source_before is not None:
        lines += ["source, as it was recorded and as it is:", *_diff(explained, cell)]
    decisive = [each for each in explained.inputs if each.change != "same"]
    lines += [_input_line(each) for each in decisive]
    same = [each for each in explained.inputs if each.change == "same"]
    if same:
        names = ", ".join(f"{each.name.removeprefix('@')} ({each.kind})" for each in same[:_SAME])
        more = f" and {len(same) - _SAME} more" if len(same) > _SAME else ""
        lines.append(f"  same     {names}{more}")
    lines += [f"  step     {call.name} ran: {call.reason}" for call in explained.calls]
    return "\n".join(lines)


def accepted_text(outcome: Accepted) -> str:
    """What `%evercell accept` did."""
    lines = [
        f"accepted cell {event.cell_index + 1}: {event.reason or 'its inputs'}"
        for event in outcome.kept
        if event.cell_index is not None
    ]
    lines += [f"not accepted: cell {index + 1}, {reason}" for index, reason in outcome.refused]
    return "\n".join(lines) or "there is nothing to accept: no finished cell is stale"


def first_line(source: str, width: int = 50) -> str:
    """The first line of code, cut to `width`."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith("#")]
    return clipped((code or lines or [""])[0], width)


def _input_line(found: Input) -> str:
    where = "" if found.cell is None else f", cell {found.cell + 1}"
    detail = "" if found.detail is None else f": {found.detail}"
    return f"  {found.change:<8} {found.name.removeprefix('@')} ({found.kind}{where}){detail}"


def _diff(explained: Explanation, cell: NotebookCell) -> list[str]:
    before = (explained.source_before or "").splitlines()
    lines = list(difflib.unified_diff(before, cell.source.splitlines(), lineterm="", n=1))[2:]
    shown = [f"  {line}" for line in lines if not line.startswith("@@")]
    return [*shown[:_DIFF], "  ..."] if len(shown) > _DIFF else shown

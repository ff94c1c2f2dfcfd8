"""docs/conformance.md: which of AWS's cases pass, which do not apply and why, which fail.

PYTHONPATH=tests python -m conformance.aws.report     writes it anew
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.aws.driving import drive_all
from conformance.aws.kit import HANDLERS
from conformance.aws.suite import PACKAGE, cases
from conformance.aws.verdicts import NOT_APPLICABLE

if TYPE_CHECKING:
    from conformance.aws.suite import Case

__all__ = ["PAGE", "drive_applicable", "render"]

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"

_TOP = """\
# Conformance

AWS publishes [language-neutral cases](https://pypi.org/project/{package}/)
for SDKs of durable execution: what some code is given, what has to come of it, and which history it
has to leave. Evercell is driven through all that apply, as `@workflow` and `@step` code on the real
engine: its journal and DuckDB record it, time is moved, and at each wait the process's hold of the
history ends and a new one replays it, which must record nothing. Two cases kill their process.

| suite | cases | passed | not applicable | failed |
|---|--:|--:|--:|--:|
"""

_WORDS = """
How AWS's words are said here:

| AWS | Evercell |
|---|---|
| step, retry strategy | `@step`, `RetryPolicy` |
| wait | `workflow.sleep` |
| child context, invoke | a child workflow |
| callback | `workflow.approval` with a form, answered from outside |
| wait for callback | a child workflow with an approval, and the step that tells of it |
| wait for condition | a step that asks to be tried again; heartbeats keep its state |
| parallel, map | child workflows in asyncio's tasks; when enough of them are done is \
the author's code |
| plugin | `Interceptor` |

Histories are compared event by event: kind, order, nesting, names, results, errors, delays. Left
out is the end of each invocation, of which there are none: code here waits in a process, and is
replayed when there is another one. A step whose process died is recorded here as one more attempt.
"""

_BOTTOM = """
The cases are AWS's, under the Apache License 2.0, and are read from the installed package. The
handlers are in `tests/conformance/aws/`. This page is written by a run of them:
`PYTHONPATH=tests python -m conformance.aws.report`; a test fails when it says anything else.
"""


def drive_applicable(folder: Path) -> dict[str, list[str]]:
    """Drive every case that has a handler: what is wrong, by the case's id."""
    return drive_all([case for case in cases() if case.id in HANDLERS], folder)


def render(found: list[Case], problems: dict[str, list[str]]) -> str:
    """The page."""
    parts = [_TOP.format(package=PACKAGE)]
    suites: dict[str, Counter[str]] = {}
    for case in found:
        suites.setdefault(case.suite, Counter())[_verdict(case, problems)] += 1
    rows = [*suites.items(), ("all", sum(suites.values(), Counter()))]
    for name, counts in rows:
        figures = [counts.total(), *(counts[it] for it in ("passed", "not applicable", "failed"))]
        parts.append(f"| {name} | {' | '.join(map(str, figures))} |\n")
    parts.append(_WORDS)
    failed = [case for case in found if _verdict(case, problems) == "failed"]
    if failed:
        parts.append("\n| failed | why |\n|---|---|\n")
        parts += [f"| {case.id} | {'; '.join(problems[case.id])} |\n" for case in failed]
    parts.append("\n| not applicable | it asks for |\n|---|---|\n")
    reasons: dict[str, list[str]] = {}
    for case in found:
        if case.id in NOT_APPLICABLE:
            reasons.setdefault(NOT_APPLICABLE[case.id], []).append(case.id)
    parts += [f"| {', '.join(ids)} | {reason} |\n" for reason, ids in reasons.items()]
    parts.append(_BOTTOM)
    return "".join(parts)


def _verdict(case: Case, problems: dict[str, list[str]]) -> str:
    if case.id in NOT_APPLICABLE:
        return "not applicable"
    return "failed" if problems[case.id] else "passed"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EVERCELL_KEY_FILE"] = str(Path(folder) / "key")
        PAGE.write_text(render(cases(), drive_applicable(Path(folder))))


if __name__ == "__main__":
    main()

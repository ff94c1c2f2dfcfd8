"""The main promise, as a user sees it in JupyterLab: run all, kill -9, run all, nothing twice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from lab import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab import LabPage

pytestmark = pytest.mark.browser

PREPARE = """import time
from pathlib import Path
from evercell import step

LEDGER, GATE = Path({ledger!r}), Path({gate!r})

@step
def ask(question: str) -> str:
    "Answers, and leaves a line in a ledger outside of the history's reach."
    with LEDGER.open("a") as ledger:
        ledger.write(question + "\\n")
    return question.upper()"""
FIRST = 'early = [ask(f"early {n}") for n in range(3)]\nearly'
SECOND = """late = []
for n in range(8):
    if n == 5:
        while not GATE.exists():  # here the kernel is killed
            time.sleep(0.02)
    late.append(ask(f"late {n}"))
late"""
SHOW = "import evercell\nevercell.progress()"


def _ledger(path: Path) -> Counter[str]:
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def test_a_killed_notebook_resumes_without_repeating_a_step(
    open_notebook: Callable[..., LabPage], tmp_path: Path
) -> None:
    ledger, gate = tmp_path / "ledger.txt", tmp_path / "gate"
    prepare = PREPARE.format(ledger=str(ledger), gate=str(gate))
    lab = open_notebook("resume.ipynb", [SHOW, prepare, FIRST, SECOND])
    lab.run_all(wait=False)

    def eight_steps_ended() -> bool:
        assert lab.errors() == []
        return _ledger(ledger).total() == 8

    wait_until("the fifth late step has ended", eight_steps_ended)
    lab.page.wait_for_function(
        "[...document.querySelectorAll('.evercell-run .ec-line[data-kind=group] .ec-count')]"
        ".some(count => count.textContent.startsWith('5 /'))"
    )
    lab.screenshot("resume-1-before-the-kill")
    lab.kill_kernel()

    gate.touch()
    lab.run_all()
    assert lab.errors() == []
    lab.page.wait_for_selector(".evercell-run[data-state=idle]")
    lab.screenshot("resume-2-restored")
    facts = lab.page.locator(".evercell-run .ec-facts").inner_text().split("\n")
    assert "8 restored" in facts, facts
    assert "3 ran" in facts, facts
    status = lab.page.locator(".evercell-run .ec-line", has_text="early = ").locator(".ec-status")
    assert "restored" in status.inner_text()
    assert _ledger(ledger) == Counter(
        [f"early {n}" for n in range(3)] + [f"late {n}" for n in range(8)]
    )
    outputs = lab.page.locator(".jp-OutputArea-executeResult").all_inner_texts()
    assert any("LATE 7" in text for text in outputs), outputs
    assert any("EARLY 2" in text for text in outputs), outputs

    lab.page.wait_for_function(
        "document.querySelector('.evercell-view')?.textContent.includes('8 restored, 3 ran')"
    )
    (shown,) = lab.save().cells[0].outputs
    assert "8 restored, 3 ran" in shown.data["text/html"]

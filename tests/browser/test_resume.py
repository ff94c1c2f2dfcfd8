"""The main promise, as a user sees it in JupyterLab: run all, kill -9 under load, Resume, nothing
twice; and what the cells' badges and the run's widget say on the way."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from browser.lab import badges, toolbar_button, wait_for_badge, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from browser.lab import LabPage

pytestmark = pytest.mark.browser

PREPARE = """import threading
from pathlib import Path
import evercell
from evercell import step

LEDGER, GATE = Path({ledger!r}), Path({gate!r})

@step
def ask(question: str) -> str:
    "Answers, and leaves a line in a ledger outside of the history's reach."
    with LEDGER.open("a") as ledger:
        ledger.write(question + "\\n")
    evercell.record_usage(model="tiny", input_tokens=400, output_tokens=20, cost=0.004)
    return question.upper()

@step
def look(n: int) -> int:
    return n"""
EARLY = 'early = [ask(f"early {n}") for n in range(3)]\nearly'
LATE = """late, looks = [], 0
for n in range(8):
    while n == 5 and not GATE.exists():  # the kernel is killed while it records what it can
        looks += 1
        look(looks)
    late.append(ask(f"late {n}"))
late"""
LOCK = "lock, kept = threading.Lock(), 3"
VOLATILE = '%%evercell volatile\nprint("now", kept)'
SHOW = "import evercell\nevercell.progress()"
TABLE = "document.querySelector('.evercell-view')?.textContent"


def _ledger(path: Path) -> Counter[str]:
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def _assert_all_is_shown(lab: LabPage) -> None:
    """What the resumed notebook, its widget and its file say."""
    outputs = lab.page.locator(".jp-OutputArea-executeResult").all_inner_texts()
    assert any("LATE 7" in text for text in outputs), outputs
    assert any("EARLY 2" in text for text in outputs), outputs
    facts = lab.page.locator(".evercell-run .ec-facts")
    for fact in ("8 restored", "3 ran"):
        facts.get_by_role("button", name=fact, exact=True).wait_for()
    lab.page.wait_for_selector(".evercell-run[data-state=idle]")
    status = lab.page.locator(".evercell-run .ec-line", has_text="early = ").locator(".ec-status")
    expect(status).to_contain_text("restored")
    lab.screenshot("resume-3-resumed")
    lab.page.wait_for_function(f"{TABLE}.includes('8 restored, 3 ran')")
    assert "8 restored, 3 ran" in lab.save().cells[0].outputs[0].data["text/html"]


def test_a_killed_notebook_resumes_without_repeating_a_step(
    open_notebook: Callable[..., LabPage], tmp_path: Path
) -> None:
    ledger, gate = tmp_path / "ledger.txt", tmp_path / "gate"
    prepare = PREPARE.format(ledger=str(ledger), gate=str(gate))
    lab = open_notebook("resume.ipynb", [SHOW, prepare, EARLY, LATE, LOCK, VOLATILE])
    wait_until("all cells are there, without badges", lambda: badges(lab) == [""] * 6)
    lab.run_all(wait=False)

    def eight_steps_ended() -> bool:
        assert lab.errors() == []
        return _ledger(ledger).total() == 8

    wait_until("the fifth late step has ended", eight_steps_ended)
    wait_for_badge(lab, 3, "running")
    assert badges(lab)[2].startswith("ran ")
    assert badges(lab)[2].endswith(", 1 260 tokens, cost 0.012"), badges(lab)
    lab.page.wait_for_function(
        "[...document.querySelectorAll('.evercell-run .ec-line[data-kind=group] .ec-count')]"
        ".some(count => count.textContent.startsWith('5 /'))"
    )
    lab.screenshot("resume-1-before-the-kill")
    lab.save()
    lab.reload()  # while a cell blocks the kernel
    wait_for_badge(lab, 3, "running")
    lab.kill_kernel()
    wait_for_badge(lab, 3, "in doubt cut off before it finished")
    assert "steps kept" in badges(lab)[3]
    assert badges(lab)[2].startswith("recorded took ")
    assert lab.page.get_by_text("Error displaying widget").count() == 0
    expect(lab.page.locator(".evercell-view table")).to_be_visible()
    lab.screenshot("resume-2-in-doubt")

    gate.touch()
    toolbar_button(lab, "Resume").click()
    wait_for_badge(lab, 3, "5 steps restored")
    wait_for_badge(lab, 5, "volatile")
    shown = badges(lab)
    assert shown[1].startswith("restored saved "), shown
    assert shown[2].startswith("restored saved "), shown
    assert "cost 0.012" in shown[2], shown
    assert shown[3].startswith("ran "), shown
    assert lab.errors() == []
    assert _ledger(ledger) == Counter(
        [f"early {n}" for n in range(3)] + [f"late {n}" for n in range(8)]
    )
    _assert_all_is_shown(lab)

    toolbar_button(lab, "Resume").click()  # once more: all of it is finished
    wait_for_badge(lab, 4, "recomputed")
    wait_for_badge(lab, 5, "volatile")
    assert "lock: cannot pickle" in badges(lab)[4]
    assert badges(lab)[3].startswith("restored"), badges(lab)
    assert _ledger(ledger).total() == 11

"""What the steps of the behaviours do to the outside world: they write a line into a ledger."""

from __future__ import annotations

import os

from evercell import current_step

__all__ = ["act"]


def act(label: str) -> None:
    """Have an effect outside: "PROCESS ACTIVITY ATTEMPT LABEL" in the ledger, which no kill takes
    back."""
    step = current_step()
    line = f"{os.environ['LEDGER_PROCESS']} {step.activity_id} {step.attempt} {label}\n"
    file = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)

"""Large values in a real kernel: not loaded by a restore, and there for whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from notebooks import Notebook, cells, run_all

if TYPE_CHECKING:
    from pathlib import Path

CELLS = [
    "import numpy as np",
    "large = np.random.default_rng(0).random(2_000_000)\nlarge",
    "other = large + 1\nprint('made')",
    "def total():\n    return float(other[0])",
]


def test_a_restored_array_is_loaded_by_whoever_asks(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path)
    with notebook.kernel() as k:
        run_all(k, cells(*CELLS))
        first = k.value("float(large[0])")
    with notebook.kernel() as k:
        run_all(k, cells(*CELLS))
        assert {d.decision for d in notebook.decisions()} == {"restored"}

        def is_there(name: str) -> bool:
            # `vars` of the module, so that the name itself stands nowhere in the question.
            text = f"len([n for n in __import__('__main__').__dict__ if n[::-1] == {name[::-1]!r}])"
            return bool(k.value(text))

        assert not is_there("large")
        assert not is_there("other")
        client = k.client
        client.complete("oth")
        assert "other" in client.get_shell_msg(timeout=30)["content"]["matches"]
        client.inspect("large", 3)
        assert client.get_shell_msg(timeout=30)["content"]["found"]
        assert is_there("large")
        assert k.value("Out[2] is large and _ is large") is True
        k.run("'shown next'")
        assert k.value("_") == "shown next"
        assert k.value("float(large[0])") == first
        assert not is_there("other")
        assert k.run("print(total())").text() == f"{first + 1}\n"
        assert is_there("other")

"""A notebook that handles secrets carelessly: nothing of them is anywhere in its history."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from sessions import Notebook

from evercell.codec import secret
from evercell.settings import reset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "q7Vn-open-sesame-31"
LITERAL = "w8Zm-literal-text-77"
PRIVATE = "zebra-crossing-plan"


@pytest.fixture(autouse=True)
def _main() -> Iterator[None]:
    main = sys.modules["__main__"]
    environment = dict(os.environ)
    yield
    sys.modules["__main__"] = main
    os.environ.clear()
    os.environ.update(environment)


def everything(folder: Path) -> bytes:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "history.duckdb" for path in files)
    return b"\n".join(str(path).encode() + path.read_bytes() for path in files)


CARELESS = [
    "import evercell, os\nfrom evercell import Secret, step",
    'key = Secret.env("CARELESS_KEY")',
    f'literal = Secret("{LITERAL}")',
    "text = key.reveal()\nharmless = 'kept'",
    "holder = {'key': key, 'n': 1}",
    "print(key, f'{key}', key.reveal(), [key.reveal()], literal.reveal())",
    "os.environ['COPY_OF_KEY'] = key.reveal()",
    """calls = []
@step(version=1)
def ask(prompt, key):
    calls.append(prompt)
    return [prompt, len(key.reveal())]
@step(version=1)
def echo(key):
    return {'you said': [key.reveal()]}
@step(version=1)
def give(key):
    return [key]
@step(version=1)
def fail(key):
    raise ValueError('wrong key: ' + key.reveal())
""",
    "answer = ask('hi', key)",
    "echo(key)",
    "give(key)",
    "fail(key)",
    "try:\n    fail(literal)\nexcept Exception as error:\n    failed = str(error)",
    "1 / 0 if key.reveal() else None",
    "raise RuntimeError(key.reveal())",
    "parts = [key.reveal()[:3], 'x' * 100_000 + key.reveal()]",
    "import numpy\nletters = numpy.array([key.reveal()] * 5000)",
]


def test_secrets_are_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARELESS_KEY", KEY)
    folder = tmp_path / ".evercell"
    for process in range(2):
        notebook = Notebook(folder)
        shells = [notebook.cell(source) for source in CARELESS]
        assert notebook.live["answer"] == ["hi", len(KEY)]
        assert notebook.live["calls"] == (["hi"] if process == 0 else [])
        assert notebook.live["text"] == KEY
        assert "never recorded" in shells[9].shown[0].content["evalue"]
        assert "Secret" in shells[10].shown[0].content["evalue"]
        assert shells[3].ran
        assert shells[4].ran
        assert not shells[0].ran or process == 0
        for text in (*notebook.close(), everything(folder).decode("latin-1")):
            assert KEY not in text
            assert LITERAL not in text
            assert KEY.encode("utf-32-le").decode("latin-1") not in text
        monkeypatch.setattr(secret, "_forbidden", frozenset())
    steps = Notebook(folder)
    rows = steps.session.history.query(
        "SELECT name, status, arguments::VARCHAR FROM steps WHERE name = 'ask'"
    ).rows
    assert rows == [("ask", "completed", '{"prompt":"hi","key":"***"}')]
    steps.close()


def test_outputs_are_masked_in_the_record_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARELESS_KEY", "sk-1234567890abcdefghij")
    source = "import os\nprint('it is', os.environ['CARELESS_KEY'])"
    first = Notebook(tmp_path / ".evercell")
    ran = first.cell(source)
    first.close()
    again = Notebook(tmp_path / ".evercell")
    restored = again.cell(source)
    again.close()

    assert ran.shown[0].content["text"] == "it is sk-1234567890abcdefghij\n"
    assert "recorded as ***" in ran.notes[0]
    assert not restored.ran
    assert restored.shown[0].content["text"] == "it is sk-***\n"


def test_another_secret_makes_stale_what_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [
        "from evercell import Secret",
        'key = Secret.env("CARELESS_KEY")',
        "size = len(key.reveal())",
        "other = 1",
    ]
    found = []
    for text in ("first key", "first key", "the second key"):
        monkeypatch.setenv("CARELESS_KEY", text)
        notebook = Notebook(tmp_path / ".evercell")
        found.append([notebook.cell(source).ran for source in cells])
        assert notebook.live["size"] == len(text)
        notebook.close()
    assert found[1] == [False, True, False, False]
    assert found[2] == [False, True, True, False]


ENCRYPTED = [
    """from evercell import AesGcm, Secret, configure, step
configure(codec=AesGcm(Secret.env('K')))""",
    f"plan = '{PRIVATE}' * 3",
    f"print('{PRIVATE}')",
    f"""@step(version=1)
def ask(prompt):
    return prompt + ' {PRIVATE}'
@step(version=1)
def fail(prompt):
    raise ValueError(prompt)
""",
    f"answer = [ask('{PRIVATE}'), ask(plan)]",
    f"fail('{PRIVATE}')",
    f"big = ['{PRIVATE}' + str(n) for n in range(20_000)]",
    f"import threading\nlock = {{'{PRIVATE}': threading.Lock()}}",
]


def test_with_encryption_nothing_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K", "00112233445566778899aabbccddeeff")
    folder = tmp_path / ".evercell"
    first = Notebook(folder)
    shells = [first.cell(source) for source in ENCRYPTED]
    assert all(shell.ran for shell in shells)
    for text in (*first.close(), everything(folder).decode("latin-1")):
        assert PRIVATE not in text
        assert "ask" in text  # names of functions and variables stay readable
    reset()

    second = Notebook(folder)
    shells = [second.cell(source) for source in ENCRYPTED]
    assert [shell.ran for shell in shells] == [True, *[False] * 4, True, False, False]
    assert shells[2].shown[0].content["text"] == f"{PRIVATE}\n"
    assert second.live["answer"][0] == f"{PRIVATE} {PRIVATE}"
    second.close()
    reset()

    other = Notebook(folder)  # without the layer: everything is a miss, nothing fails
    shells = [other.cell(source) for source in ENCRYPTED[1:4]]
    assert all(shell.ran for shell in shells)
    other.close()

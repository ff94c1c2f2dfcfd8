"""A notebook file: read with care, written while its outputs come.

    read_notebook   file -> JSON -> nbformat 4, with cell ids that are the same in every run
    OutputFile      snapshots of the running notebook, each an atomic replace, throttled by what
                    a write costs, and never over an edit that somebody saved in the meantime

Everything here works on the plain JSON of nbformat 4: importing `nbformat` costs a quarter of a
second, and the kernel can start in that time. Only an older format needs it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell.errors import NotebookInvalidError, NotebookNotFoundError, UsageError
from evercell.loading import import_jsonschema

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Notebook", "OutputFile", "code_cells", "read_notebook", "tags_of"]

Notebook = dict[str, Any]  # the JSON object of an nbformat 4 file

_CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_IDS_SINCE_MINOR = 5  # nbformat 4.5 gave cells their ids


def read_notebook(path: Path) -> Notebook:
    """The notebook at `path`, as nbformat 4 with joined lines and stable cell ids.

    Raises NotebookNotFoundError when the file can't be read, NotebookInvalidError when it is not a
    Python notebook with at least one code cell.
    """
    document = _parse(path, _read_text(path))
    version = document.get("nbformat")
    if not isinstance(version, int) or not ("cells" in document or "worksheets" in document):
        raise NotebookInvalidError(
            f"{path} is JSON but not a notebook: it has no `nbformat` and `cells`. "
            "Give the path of an .ipynb file."
        )
    if version > 4:
        raise NotebookInvalidError(
            f"{path} is in notebook format {version}, which this release does not know. "
            "Save it as notebook format 4, or upgrade evercell."
        )
    if version < 4:
        document = _upgraded(path, document)
    _normalise_cells(path, document)
    _check_python(path, document)
    if not code_cells(document):
        raise NotebookInvalidError(f"{path} has no code cells, so there is nothing to run.")
    settle_ids(document)
    return document


def code_cells(notebook: Notebook) -> list[int]:
    """The indices of the cells that hold code to run."""
    return [
        index
        for index, cell in enumerate(notebook["cells"])
        if cell["cell_type"] == "code" and cell["source"].strip()
    ]


def tags_of(cell: dict[str, Any]) -> tuple[str, ...]:
    """A cell's tags; nothing that is not a string counts as one."""
    tags = cell.get("metadata", {}).get("tags", ())
    return tuple(tag for tag in tags if isinstance(tag, str))


def settle_ids(notebook: Notebook) -> None:
    """Give every cell an id that the next run of the same file gives it as well.

    nbformat fills a missing or repeated id with a random one; a run that is resumed from the file
    would then not find its cells. Formats before 4.5 have no ids: positions name their cells.
    """
    if notebook.get("nbformat_minor", 0) < _IDS_SINCE_MINOR:
        for cell in notebook["cells"]:
            cell.pop("id", None)
        return
    taken: set[str] = set()
    for index, cell in enumerate(notebook["cells"]):
        wanted = cell.get("id")
        if not isinstance(wanted, str) or not _CELL_ID.fullmatch(wanted):
            wanted = f"cell-{index}"
        unique, copy = wanted, 1
        while unique in taken:
            copy += 1
            unique = f"{wanted[:56]}-{copy}"
        taken.add(unique)
        cell["id"] = unique


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        hint = ""
        if path.suffix != ".ipynb" and path.with_name(path.name + ".ipynb").is_file():
            hint = f" Did you mean {path.name}.ipynb?"
        raise NotebookNotFoundError(f"There is no notebook at {path}.{hint}") from None
    except IsADirectoryError:
        raise NotebookNotFoundError(f"{path} is a folder. Name a notebook in it.") from None
    except UnicodeDecodeError as error:
        raise NotebookInvalidError(
            f"{path} is not a notebook: it is not UTF-8 ({error})."
        ) from None
    except OSError as error:
        raise NotebookNotFoundError(f"{path} can't be read: {error.strerror}.") from None


def _parse(path: Path, text: str) -> Notebook:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotebookInvalidError(
            f"{path} is not a notebook: it is not JSON ({error.msg}, line {error.lineno} column "
            f"{error.colno}). A merge conflict or a cut download are common causes."
        ) from None
    except RecursionError:
        raise NotebookInvalidError(f"{path} is not a notebook: it is nested too deeply.") from None
    if not isinstance(document, dict):
        raise NotebookInvalidError(f"{path} is JSON but not a notebook: it is no object.")
    return document


def _upgraded(path: Path, document: Notebook) -> Notebook:
    import_jsonschema()
    import nbformat  # noqa: PLC0415 - for older formats only

    try:
        node = nbformat.convert(nbformat.from_dict(document), 4)  # type: ignore[no-untyped-call]
    except (nbformat.ValidationError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise NotebookInvalidError(
            f"{path} is in notebook format {document['nbformat']} and can't be upgraded: "
            f"{str(error).splitlines()[0]}"
        ) from error
    upgraded: Notebook = json.loads(json.dumps(node))
    for index, cell in enumerate(upgraded["cells"]):
        cell["id"] = f"cell-{index}"  # the upgrade made random ones
    return upgraded


def _normalise_cells(path: Path, document: Notebook) -> None:
    """Check what running relies on and nothing more: Jupyter opens less than valid files, too."""
    cells = document.get("cells")
    if not isinstance(cells, list):
        raise NotebookInvalidError(f"{path} is not a notebook: its `cells` are no list.")
    if not isinstance(document.setdefault("metadata", {}), dict):
        raise NotebookInvalidError(f"{path} is not a notebook: its `metadata` are no object.")
    for index, cell in enumerate(cells):
        kind = cell.get("cell_type") if isinstance(cell, dict) else None
        if kind not in {"code", "markdown", "raw"}:
            raise NotebookInvalidError(
                f"{path} is not a notebook: cell {index + 1} has the type {kind!r}, "
                "and notebooks hold code, markdown and raw cells."
            )
        source = cell.get("source", "")
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        if not isinstance(source, str):
            raise NotebookInvalidError(f"{path}: the source of cell {index + 1} is no text.")
        cell["source"] = source
        if not isinstance(cell.setdefault("metadata", {}), dict):
            raise NotebookInvalidError(f"{path}: the metadata of cell {index + 1} are no object.")
        if kind == "code":
            cell.setdefault("outputs", [])
            cell.setdefault("execution_count", None)


def _check_python(path: Path, document: Notebook) -> None:
    metadata = document["metadata"]
    spec, info = metadata.get("kernelspec") or {}, metadata.get("language_info") or {}
    language = str(spec.get("language") or info.get("name") or "python")
    if language.lower() not in {"python", "ipython"}:
        raise NotebookInvalidError(
            f"{path} is a notebook in {language}; Evercell runs Python notebooks only."
        )


class OutputFile:
    """Where a run's notebook is written while it runs.

    `notes` collects, in words for the user, what went otherwise than asked: a write that failed,
    or an edit of the file by somebody else, which is kept and the outputs go beside it.
    """

    def __init__(self, target: Path) -> None:
        self.path = Path(os.path.realpath(target))  # a link stays a link to the written file
        self.notes: list[str] = []
        self.failed = False  # the latest write did not succeed
        self._due = 0.0
        self._seen = _signature(self.path)

    def check(self) -> None:
        """Raise UsageError when the file can't be written; called before anything runs."""
        if self.path.is_dir():
            raise UsageError(f"The output {self.path} is a folder. Name a file in it.")
        folder = self.path.parent
        if not folder.is_dir():
            raise UsageError(f"The output folder {folder} does not exist. Create it first.")
        try:
            descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=folder)
        except OSError as error:
            raise UsageError(
                f"The output folder {folder} can't be written: {error.strerror}. "
                "Name another place with -o."
            ) from None
        os.close(descriptor)
        Path(name).unlink()

    def write(self, render: Callable[[], str], *, durable: bool = False) -> None:
        """Replace the file by what `render` returns, atomically. A failure is noted: the run goes
        on, its results are in the history."""
        began = time.monotonic()
        text = render()
        if _signature(self.path) != self._seen:
            self._step_aside()
        try:
            self._replace(text, durable=durable)
        except OSError as error:
            if not self.failed:
                reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
                self.notes.append(
                    f"{self.path} could not be written: {reason}. The run's results are in the "
                    "history; run again once this is solved, and nothing is computed twice."
                )
            self.failed = True
        else:
            self.failed = False
        now = time.monotonic()
        self._due = now + max(1.0, 10 * (now - began))  # writing costs a tenth at most

    def is_due(self) -> bool:
        """Whether enough time has passed since the last write."""
        return time.monotonic() >= self._due

    def _step_aside(self) -> None:
        """Somebody saved the file after we read or wrote it: their edit stays."""
        edited = self.path
        stem = edited.stem.removesuffix(".out")
        for n in range(1, 1000):
            beside = edited.with_name(f"{stem}.out{'' if n == 1 else n}.ipynb")
            if not beside.exists() and beside != edited:
                self.path = beside
                break
        self._seen = _signature(self.path)
        self.notes.append(
            f"{edited} was changed by another program during the run. It is left as it is; the "
            f"outputs go to {self.path}."
        )

    def _replace(self, text: str, *, durable: bool) -> None:
        mode = self.path.stat().st_mode & 0o7777 if self.path.exists() else 0o666 & ~_umask()
        descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), mode)
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(self.path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self._seen = _signature(self.path)


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask

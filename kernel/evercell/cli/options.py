"""What several commands share: exit codes, options, arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

__all__ = ["EXIT_CODES", "History", "Json", "Output", "Parameters", "Run"]

EXIT_CODES = """\
Exit codes: 0 done; 1 a cell failed, the kernel died, or the history could not be used or is \
damaged; \
2 usage: nothing was run; 130 interrupted by Ctrl-C (143 by SIGTERM), resumable."""

History = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads this at run time
    typer.Option(
        "--history",
        metavar="DIR",
        envvar="EVERCELL_HOME",
        help="The history's folder. [default: .evercell/ beside the notebook, or here]",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for programs.")]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, the beginning of it, or a workflow id.")
]
Output = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="Write the notebook with its outputs here. [default: into NOTEBOOK itself; with -p, "
        "into NAME.out.ipynb beside it]",
    ),
]
Parameters = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "-p",
        "--parameter",
        metavar="NAME=VALUE",
        help="Set a parameter that the cell tagged `parameters` assigns. Repeatable.",
    ),
]

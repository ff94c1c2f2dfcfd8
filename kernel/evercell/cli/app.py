"""The commands and their options; docs/cli.md documents each, and a test compares the two."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import Annotated, Optional

import typer

from evercell.cli import tell
from evercell.cli.console import reports_errors
from evercell.cli.options import EXIT_CODES, History, Json, Output, Parameters, Run

__all__ = ["app"]

app = typer.Typer(
    name="evercell",
    help="Run notebooks whose cells and steps are durable, and ask what they did.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"evercell {version('evercell')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


@app.command(epilog=EXIT_CODES)
@reports_errors
def run(  # noqa: PLR0917 - typer fills them by name
    notebook: Annotated[Path, typer.Argument(metavar="NOTEBOOK", help="The notebook to run.")],
    output: Output = None,
    parameters: Parameters = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin a new run instead of resuming the current one.")
    ] = False,
    run_id: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--run",
            metavar="RUN",
            help="Resume this earlier run, its id or the beginning of it, instead of the current "
            "one; it is the current one then.",
        ),
    ] = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Say what would happen to each cell, why, and what it had cost; run nothing.",
        ),
    ] = False,
    as_json: Json = False,
    history: History = None,
) -> None:
    """Run a notebook from top to bottom; what an earlier, unfinished run did is not done again."""
    if plan:
        from evercell.cli.plan import plan_command

        raise typer.Exit(
            plan_command(
                notebook,
                parameters=parameters or [],
                fresh=fresh,
                run=run_id,
                as_json=as_json,
                history=history,
            )
        )
    from evercell.cli.run import run_command

    raise typer.Exit(
        run_command(
            notebook,
            output=output,
            parameters=parameters or [],
            fresh=fresh,
            run=run_id,
            as_json=as_json,
            history=history,
        )
    )


@app.command(epilog=EXIT_CODES)
@reports_errors
def ls(as_json: Json = False, history: History = None) -> None:
    """List the runs in a history, the latest first."""
    from evercell.cli.runs import list_runs

    list_runs(history, as_json=as_json)


@app.command(epilog=EXIT_CODES)
@reports_errors
def show(
    run: Run,
    as_json: Json = False,
    history: History = None,
) -> None:
    """Show a run: its cells, and the steps in them."""
    from evercell.cli.runs import show_run

    show_run(run, history, as_json=as_json)


@app.command(epilog=EXIT_CODES)
@reports_errors
def watch(
    run: Run,
    history: History = None,
) -> None:
    """Show a run while another process works on it; Ctrl-C ends the watching, not the run."""
    from evercell.cli.watch import watch_run

    watch_run(run, history)


@app.command(epilog=EXIT_CODES)
@reports_errors
def sql(  # noqa: PLR0917 - typer fills them by name
    query: Annotated[
        str,
        typer.Argument(metavar="QUERY", help="SQL over the history, or - to read it from stdin."),
    ],
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    parquet: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--parquet", metavar="FILE", help="Write a Parquet file instead of printing."),
    ] = None,
    parameters: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "-p",
            "--parameter",
            metavar="NAME=VALUE",
            help="Give $NAME in the query a value: JSON, else a text. Repeatable.",
        ),
    ] = None,
    history: History = None,
) -> None:
    """Ask the history with DuckDB's SQL: runs, cells, steps, attempts, usage, events."""
    from evercell.cli.query import Form, run_query

    run_query(query, history, parameters or [], Form(as_json, as_csv, parquet))


@app.command(epilog=EXIT_CODES)
@reports_errors
def replay(  # noqa: PLR0917 - typer fills them by name
    run: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(
            metavar="[RUN]",
            help="A workflow's run: its id, the beginning of it, or its workflow id. [default: all "
            "runs of the workflows in --source]",
        ),
    ] = None,
    source: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--source",
            metavar="FILE",
            help="The notebook or Python module that defines the workflows. [default: the run's "
            "notebook]",
        ),
    ] = None,
    exports: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            "--export",
            metavar="FILE",
            help="Replay what `evercell history export` wrote, not a history. Repeatable.",
        ),
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Decode exports that another user recorded, on your word."),
    ] = False,
    as_json: Json = False,
    history: History = None,
) -> None:
    """Check whether today's code of workflows fits their recorded runs; nothing is carried out."""
    from evercell.cli.workflows import replay_command, replay_exports

    if exports:
        replay_exports(exports, run, source, trust=trust, as_json=as_json)
    else:
        replay_command(run, source, history, as_json=as_json)


for _name, _command in tell.COMMANDS.items():
    app.command(_name, epilog=EXIT_CODES)(reports_errors(_command))


@app.command("install-kernel", epilog=EXIT_CODES)
@reports_errors
def install_kernel(
    user: Annotated[
        bool, typer.Option("--user", help="Install for this user, for every Jupyter of theirs.")
    ] = False,
    prefix: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--prefix", metavar="DIR", help="Install below this environment's folder."),
    ] = None,
) -> None:
    """Register the kernel with Jupyter. pip has done so already for Jupyters in this environment;
    for one that lives elsewhere, use --user or --prefix."""
    from evercell.cli.kernels import install

    install(user=user, prefix=prefix)


@app.command(epilog=EXIT_CODES)
@reports_errors
def verify(
    salvage: Annotated[
        bool,
        typer.Option(
            "--salvage", help="Save what is behind a journal's damage, and move the file aside."
        ),
    ] = False,
    as_json: Json = False,
    history: History = None,
) -> None:
    """Check that all that was recorded is there and unchanged; exit code 1 if it is not."""
    from evercell.cli.upkeep import verify_history

    raise typer.Exit(verify_history(history, salvage=salvage, as_json=as_json))


@app.command(epilog=EXIT_CODES)
@reports_errors
def gc(  # noqa: PLR0917 - typer fills them by name
    max_size: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--max-size", metavar="SIZE", help="Remove the oldest runs: 500MB, 2GB."),
    ] = None,
    older_than: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--older-than", metavar="AGE", help="Remove runs without an event since then: 30d, 12h."
        ),
    ] = None,
    runs: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--run", metavar="RUN", help="Remove this run. Repeatable."),
    ] = None,
    keep: Annotated[
        int,
        typer.Option(
            "--keep",
            metavar="N",
            help="Latest runs of each notebook and parameters that size and age leave.",
        ),
    ] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")
    ] = False,
    as_json: Json = False,
    history: History = None,
) -> None:
    """Remove old runs, and files that nothing refers to. Never a run that a kernel works on."""
    from evercell.cli.upkeep import collect

    collect(
        history,
        max_size=max_size,
        older_than=older_than,
        runs=runs or [],
        keep=keep,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command(epilog=EXIT_CODES)
@reports_errors
def trust(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The history's folder.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: Json = False,
) -> None:
    """Accept a history that was recorded under another key, on your word."""
    from evercell.cli.upkeep import trust_folder

    trust_folder(folder, yes=yes, as_json=as_json)


files = typer.Typer(
    name="history", help="Runs as files.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(files, epilog=EXIT_CODES)


@files.command("export", epilog=EXIT_CODES)
@reports_errors
def export_run(
    run: Run,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Where to: JSON Lines, or Parquet (the events only) for a name in .parquet.",
        ),
    ],
    as_json: Json = False,
    history: History = None,
) -> None:
    """Write a run to a file."""
    from evercell.cli.upkeep import export_run as export

    export(run, output, history, as_json=as_json)


@files.command("import", epilog=EXIT_CODES)
@reports_errors
def import_run(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What `history export` wrote.")],
    as_json: Json = False,
    history: History = None,
) -> None:
    """Take a run in from a file. Another user's is text until it is trusted."""
    from evercell.cli.upkeep import import_run as take_in

    take_in(source, history, as_json=as_json)

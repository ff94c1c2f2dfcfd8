"""The command line: `evercell run`, `ls`, `show`, `sql`, `install-kernel`.

    main -> app (commands and options) -> run | runs | query | kernels -> console

Each command's module imports what it needs when it is called, so that `evercell --help` is quick.
"""

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` names; ends the process with its exit code."""
    from evercell.cli.app import app  # noqa: PLC0415 - importing a submodule should be cheap

    app(prog_name="evercell")

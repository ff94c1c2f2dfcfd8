"""`%load_ext evercell`: the same kernel, in a notebook whose kernel is a plain IPython one."""

from __future__ import annotations

from typing import Any

from evercell.errors import NotInKernelError

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: Any) -> None:
    """Make the kernel of `shell` durable from its next cell on. Raises NotInKernelError in an
    IPython without a kernel, such as the terminal's."""
    from .kernel import make_durable  # noqa: PLC0415 - ipykernel may be missing in a terminal

    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        raise NotInKernelError(
            "%load_ext evercell works in a Jupyter kernel: cells get their outputs and their "
            "replies through it, and this IPython has none. Open the notebook in JupyterLab, "
            "VS Code or Colab, or run it with `evercell run NOTEBOOK`."
        )
    make_durable(kernel)


def unload_ipython_extension(shell: Any) -> None:
    """Make a kernel that `%load_ext evercell` made durable a plain one again and let go of its
    run. The kernel "Evercell (Python 3)" stays what it is."""
    from .kernel import make_plain  # noqa: PLC0415 - see above

    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        make_plain(kernel)

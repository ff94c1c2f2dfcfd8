"""The kernelspec `evercell`: pip installs it; this writes one for a Jupyter in another place."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from evercell.errors import KernelNotFoundError

__all__ = ["KERNEL_NAME", "RESOURCES", "find", "install"]

KERNEL_NAME = "evercell"

RESOURCES = Path(__file__).parent / "resources"
"""kernel.json and the logos; the wheel puts a copy under share/jupyter/kernels/evercell."""


def find() -> Path:
    """The folder of the kernelspec that Jupyter would start here. Raises KernelNotFoundError."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel  # noqa: PLC0415

    manager = KernelSpecManager()
    try:
        return Path(manager.get_kernel_spec(KERNEL_NAME).resource_dir)
    except NoSuchKernel:
        raise KernelNotFoundError(
            f"Jupyter has no kernel named {KERNEL_NAME!r}. It looked in "
            f"{', '.join(manager.kernel_dirs)}. Install evercell into this environment with pip, "
            "or run `evercell install-kernel --user`."
        ) from None


def install(*, user: bool = False, prefix: str | None = None) -> Path:
    """Write a kernelspec that starts this interpreter, whichever Jupyter finds it: for the
    current user, under `prefix`, or system-wide. Returns its folder. Raises OSError."""
    from jupyter_client.kernelspec import KernelSpecManager  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as staging:
        source = Path(staging) / KERNEL_NAME
        shutil.copytree(RESOURCES, source)
        spec = json.loads((source / "kernel.json").read_text())
        # "python" would become the interpreter of the Jupyter that starts it.
        spec["argv"][0] = sys.executable
        (source / "kernel.json").write_text(json.dumps(spec, indent=2) + "\n")
        return Path(
            KernelSpecManager().install_kernel_spec(
                str(source), kernel_name=KERNEL_NAME, user=user, prefix=prefix
            )
        )

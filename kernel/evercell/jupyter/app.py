"""The kernel process: ipykernel's application with our kernel and fenced output streams.

The application keeps ipykernel's name, so that a user's `ipython_kernel_config.py` and profile
apply to this kernel, too.
"""

from __future__ import annotations

from ipykernel.kernelapp import IPKernelApp
from traitlets import DottedObjectName, Type

__all__ = ["EvercellApp"]


class EvercellApp(IPKernelApp):
    """Starts an Evercell kernel; every option of ipykernel's application works."""

    kernel_class = Type(
        "evercell.jupyter.kernel.EvercellKernel",
        klass="ipykernel.kernelbase.Kernel",
        help="The Kernel subclass to be used.",
    ).tag(config=True)
    outstream_class = DottedObjectName(
        "evercell.jupyter.streams.FencedOutStream",
        help="The importstring for the OutStream factory",
        allow_none=True,
    ).tag(config=True)

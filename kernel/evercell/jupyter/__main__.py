"""`python -m evercell.jupyter -f CONNECTION_FILE` starts the kernel, as the kernelspec asks."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # As ipykernel_launcher does: a `random.py` beside the notebook must not replace the standard
    # library's while the kernel starts. The shell puts the folder back before user code runs.
    if sys.path[0] == "" or Path(sys.path[0]) == Path.cwd():
        del sys.path[0]

    from evercell.jupyter.app import EvercellApp

    EvercellApp.launch_instance()

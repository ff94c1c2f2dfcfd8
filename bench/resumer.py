"""A process that records steps and is killed, or one that resumes them and tells the times.

`python -m bench.resumer ANSWER_FD CONTENDER STEPS prepare|resume`: both run the same program,
`steps` steps and one more. When the body of that last one is reached, `prepare` kills the process
(SIGKILL, as if the machine had), `resume` answers the times it passed, and its peak memory in
bytes, and ends.
"""

from __future__ import annotations

import time

BEGUN = time.monotonic()  # before any import of ours: the interpreter is up


def main() -> None:
    """See above. Times are of the system-wide monotonic clock, in seconds."""
    import json
    import os
    import resource
    import signal
    import sys
    from importlib import import_module
    from pathlib import Path

    descriptor, name, steps, mode = sys.argv[1:]
    marks = {"interpreter": BEGUN}

    def mark(what: str) -> None:
        marks[what] = time.monotonic()

    def reached() -> None:
        mark("reached")
        if mode == "prepare":
            os.kill(os.getpid(), signal.SIGKILL)
        unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
        marks["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        os.write(int(descriptor), json.dumps(marks).encode() + b"\n")
        os._exit(0)

    program = import_module(f"bench.contenders.{name}").Program(Path.cwd(), mark, reached)
    program.run(int(steps), resuming=mode == "resume")


if __name__ == "__main__":
    main()

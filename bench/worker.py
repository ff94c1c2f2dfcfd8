"""A contender's process: answers each request of `processes.Worker`, until stdin ends."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    """`python -m bench.worker ANSWER_FD CONTENDER`, in the contender's own folder."""
    answers = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    contender = import_module(f"bench.contenders.{sys.argv[2]}").Contender(Path.cwd())
    for line in sys.stdin:
        call, arguments = json.loads(line)
        answers.write(json.dumps(getattr(contender, call)(**arguments)) + "\n")
        answers.flush()
    contender.close()


if __name__ == "__main__":
    main()

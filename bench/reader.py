"""A second program on the history, as a person's: DuckDB's own client, nothing of Evercell.

`python -m bench.reader ANSWER_FD DATABASE SECONDS LEAD`: opens, asks and closes again and again;
then answers how old, in seconds, the newest event was each time, and how often the file was locked.
"""

from __future__ import annotations

import json
import os
import sys
import time

import duckdb

PAUSE = 0.1  # seconds between two looks


def main() -> None:
    """See above."""
    descriptor, database, seconds, lead = sys.argv[1:]
    ages: list[float] = []
    locked = 0
    time.sleep(float(lead))
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        try:
            with duckdb.connect(database, read_only=True) as connection:
                found = connection.execute("SELECT max(at_ns) FROM store.event").fetchone()
        except duckdb.IOException:
            locked += 1
        else:
            ages.append(time.time() - (found or (0,))[0] / 1e9)
        time.sleep(PAUSE)
    os.write(int(descriptor), json.dumps({"ages": ages, "locked": locked}).encode() + b"\n")


if __name__ == "__main__":
    main()

"""Fetch the tutorials: `python -m tests.tutorials.fetch`.

pip downloads each package's source distribution, of the version that is installed, so that document
and package fit; the documents of the catalogue are kept in the environment, nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .catalogue import CACHE, TUTORIALS, versions

__all__ = ["main"]


def main() -> None:
    """Fetch what is missing or of another version. Raises CalledProcessError."""
    stamp = CACHE / "versions.json"
    have = json.loads(stamp.read_text()) if stamp.exists() else {}
    wanted = versions()
    for package, its_version in wanted.items():
        paths = [t.path for t in TUTORIALS if t.package == package]
        there = all((CACHE / package / path).exists() for path in paths)
        if not there or have.get(package) != its_version:
            print(f"{package} {its_version}: {len(paths)} tutorials")
            _fetch(package, its_version, paths)
    stamp.write_text(json.dumps(wanted))


def _fetch(package: str, its_version: str, paths: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet",
             "--no-deps", "--no-binary", package, "--dest", folder, f"{package}=={its_version}"],
            check=True,
        )  # fmt: skip
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as files:
            top = files.getnames()[0].split("/")[0]
            for path in paths:
                content = files.extractfile(f"{top}/{path}")
                assert content is not None, f"{archive.name} has no {path}"
                kept = CACHE / package / path
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(content.read())


if __name__ == "__main__":
    main()

"""Versions: what a reader's key holds for a variable, a pseudo-name, all that came before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

from evercell.cell.project import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["LINEAGE", "NO_LINEAGE", "Traces", "advanced", "difference", "tagged"]

LINEAGE = "@lineage"
NO_LINEAGE = b"\0" * 16  # before the first cell


def advanced(
    lineage: bytes,
    key: bytes,
    groups: Iterable[tuple[tuple[str, ...], bytes]],
    deleted: Iterable[str],
    ambient: Iterable[tuple[str, bytes]],
) -> bytes:
    """The digest of all that came before, after one more cell: its key, the names and version of
    each co-variable that it made, what it deleted, and the process state that it changed."""
    parts = [repr(tuple(sorted(names))).encode() + version for names, version in groups]
    parts += [b"-" + name.encode() for name in deleted]
    parts += [name.encode() + version for name, version in ambient]
    return tagged(b"lineage", lineage, key, *sorted(parts))


def tagged(tag: bytes, *parts: bytes) -> bytes:
    """16 bytes over the parts, each with its length; `tag` says what they are."""
    hasher = blake3(tag)
    for part in parts:
        hasher.update(len(part).to_bytes(4, "big") + part)
    return hasher.digest(16)


def difference(name: str, recorded: bytes, now: bytes) -> str:
    """Which input it is and what became of it, in words."""
    if name == LINEAGE:
        return "an earlier cell (this one depends on all that came before)"
    if name.startswith(PREFIX) and name.endswith(("/", PREFIX)):
        return f"{name.removeprefix(PREFIX) or './'} ({'holds other files' if now else 'gone'})"
    if name.startswith(PREFIX):
        return f"{name.removeprefix(PREFIX)} ({'gone' if not now else 'edited'})"
    if name.startswith("@"):
        return f"{name.removeprefix('@')} (changed)"
    if not now:
        return f"{name} (not defined now)"
    return f"{name} ({'new' if not recorded else 'changed'})"


class Traces:
    """What a version goes by that depends on a trial, whatever that finds: by its content.

    All that came before, and the steps that use such a value, must have the same keys before and
    after it is known whether the value comes back.
    """

    def __init__(self) -> None:
        self._by_version: dict[bytes, bytes] = {}

    def of(self, version: bytes) -> bytes:
        """The trace of a version; itself where no trial decides about it."""
        return self._by_version.get(version, version)

    def note(self, version: bytes, trace: bytes | None) -> None:
        """`version` goes by `trace`, if there is one."""
        if trace is not None:
            self._by_version[version] = trace

    def settle(self, final: Mapping[bytes, bytes], versions: dict[str, bytes]) -> None:
        """Trials found out what these versions are for good; changes `versions`. Between cells."""
        for old, new in final.items():
            self.note(new, self._by_version.pop(old, None))
        for name, version in versions.items():
            versions[name] = final.get(version, version)

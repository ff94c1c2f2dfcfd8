"""Process state outside the namespace: what a cell changed, stored, and put back.

    before a cell: take(loaded) -> a snapshot per component
    after it:      changes(snapshots) -> those that differ, with the new state
    restoring:     apply(name, data)

Components of libraries count from the moment that the library is loaded; one that a cell loads is
compared with nothing, so only what it shows later is known. The random states count as read only by
a cell that changed them, or that found one just seeded and left it so: it may have seeded it. The
others are read by every cell.
"""

from __future__ import annotations

import decimal
import logging
import operator
import os
import random
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from evercell.codec.canonical import digest
from evercell.codec.pickling import dump, load
from evercell.errors import EvercellError, RestoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from evercell.codec.buffers import Buffer

__all__ = ["COMPONENTS", "AmbientState", "Component"]


@dataclass(frozen=True, slots=True)
class Component:
    """One piece of process state.

    `take` gives a snapshot that `same` compares; `change` makes the stored form of going from one
    to the other (None: the whole new state); `restore` applies a stored form, None if nothing can.
    `first` is what to compare with when a cell loads the library; None: it counts as changed.
    """

    name: str  # begins with "@"
    take: Callable[[], Any]
    restore: Callable[[Any], None] | None
    module: str | None = None  # the library that must be loaded
    random: bool = False  # read only by a cell that changed it, or may have set it to what it was
    seeded: Callable[[Any], bool] | None = None  # whether a random state may just have been set
    change: Callable[[Any, Any], Any] | None = None
    same: Callable[[Any, Any], bool] = operator.eq
    first: Callable[[], Any] | None = None
    essence: Callable[[Any], Any] | None = None  # of a whole state: what its version covers


class AmbientState:
    """The components, and the version of each: b"" until a cell changes it."""

    def __init__(self, live: dict[str, Any]) -> None:
        self._live = live
        self.versions: dict[str, bytes] = {}
        self._known = self.take()

    def take(self) -> dict[str, Any]:
        """A snapshot of every component whose library is loaded."""
        return {c.name: c.take() for c in COMPONENTS if _is_loaded(c.module)}

    def notice(self, unknowable: Callable[[], bytes]) -> dict[str, Any]:
        """A snapshot; what changed since the last cell, by a callback or a thread, gets a version
        of its own."""
        now = self.take()
        for component in COMPONENTS:
            name = component.name
            known = name in now and name in self._known and not component.random
            if known and not component.same(self._known[name], now[name]):
                self.versions[name] = unknowable()
        self._known = now
        return now

    def changes(self, before: Mapping[str, Any]) -> list[tuple[Component, bytes, bytes | None]]:
        """(component, new version, stored change) of what differs from the snapshot `before`."""
        found = []
        self._known = self.take()
        for component in COMPONENTS:
            if component.name not in self._known:
                continue
            new = self._known[component.name]
            old = before.get(component.name, _ABSENT)
            if old is _ABSENT:  # the cell loaded the library, and may have set it up as well
                old = component.first() if component.first is not None else None
            if component.same(old, new):
                continue
            change = new if component.change is None else component.change(old, new)
            data = None if component.restore is None else self._store(change)
            content = os.urandom(16) if data is None else data
            if component.essence is not None:
                content = digest(component.essence(new), self._live)
            # A whole state is its own version; a change depends on what it changed.
            previous = b"" if component.change is None else self.versions.get(component.name, b"")
            found.append((component, blake3(b"ambient" + previous + content).digest(16), data))
        return found

    def read(self, changed: set[str], *, seeds: bool = False) -> dict[str, bytes]:
        """The versions that a cell depends on which changed those in `changed`, and whose code
        `seeds` random states, as far as it can be told from its words."""
        return {
            c.name: self.versions.get(c.name, b"")
            for c in COMPONENTS
            if not c.random or seeds or c.name in changed or self._seeded(c)
        }

    def _seeded(self, component: Component) -> bool:
        """Whether a cell that left a random state as it was may have seeded it."""
        name, seeded = component.name, component.seeded
        known = name in self._known and bool(self.versions.get(name))
        return known and (seeded is None or seeded(self._known[name]))

    def decode(self, name: str, data: Buffer) -> Callable[[], None]:
        """What puts the change back; nothing happens before it is called. Raises RestoreError."""
        for component in COMPONENTS:
            if component.name == name:
                if not _is_loaded(component.module):
                    __import__(component.module or "")
                restore, state = component.restore, load(data, (), self._live)
                if restore is not None:
                    return lambda: restore(state)
        raise RestoreError(f"this release does not know the ambient state {name}.")

    def settle(self) -> None:
        """Take what is there now as known, after a restore."""
        self._known = self.take()

    def _store(self, change: Any) -> bytes | None:
        try:
            stream = dump(change, self._live).stream
            restored = load(stream, (), self._live)
            return stream if digest(restored, self._live) == digest(change, self._live) else None
        except EvercellError:
            return None


def _is_loaded(module: str | None) -> bool:
    if module is None:
        return True
    loaded = sys.modules.get(module)
    spec = getattr(loaded, "__spec__", None)
    return loaded is not None and not getattr(spec, "_initializing", False)


def _cwd() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return None


def _environ_change(before: dict[str, str], after: dict[str, str]) -> dict[str, str | None]:
    names = before.keys() | after.keys()
    return {n: after.get(n) for n in sorted(names) if before.get(n) != after.get(n)}


def _restore_environ(change: dict[str, str | None]) -> None:
    for name, value in change.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _restore_path(entries: list[str]) -> None:
    sys.path[:] = entries


def _take_filters() -> list[Any]:
    return list(warnings.filters)


def _user_filters(filters: list[Any]) -> list[Any]:
    """Libraries add filters for messages and categories of their own when they are imported;
    which ones are loaded must not decide whether a record fits."""
    return [f for f in filters if f[1] is None and f[3] is None and f[2].__module__ == "builtins"]


def _restore_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _take_levels() -> dict[str, tuple[int, bool, bool]]:
    root = logging.root
    levels = {"": (root.level, root.disabled, root.propagate)}
    for name, logger in list(root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger):
            levels[name] = (logger.level, logger.disabled, logger.propagate)
    levels[" disable"] = (root.manager.disable, False, False)
    return levels


_PLAIN_LEVEL = (logging.NOTSET, False, True)


def _same_levels(
    before: dict[str, tuple[int, bool, bool]], after: dict[str, tuple[int, bool, bool]]
) -> bool:
    """A logger that appeared with the plain level is no change: imports make them by the dozen."""
    return not _levels_change(before, after)


def _levels_change(
    before: dict[str, tuple[int, bool, bool]], after: dict[str, tuple[int, bool, bool]]
) -> dict[str, tuple[int, bool, bool]]:
    return {n: v for n, v in after.items() if before.get(n, _PLAIN_LEVEL) != v}


def _restore_levels(levels: dict[str, tuple[int, bool, bool]]) -> None:
    for name, (level, disabled, propagate) in levels.items():
        if name == " disable":
            logging.disable(level)
            continue
        logger = logging.getLogger(name or None)
        logger.setLevel(level)
        logger.disabled, logger.propagate = disabled, propagate


def _take_handlers() -> tuple[int, ...]:
    """Identities only: a handler writes to a stream or a file, which can't be stored."""
    return tuple(map(id, logging.root.handlers))


def _take_numpy() -> Any:
    state = sys.modules["numpy.random"].get_state(legacy=True)
    return state[0], state[1].tobytes(), *state[2:]


def _restore_numpy(state: Any) -> None:
    numpy = sys.modules["numpy"]
    keys = numpy.frombuffer(state[1], dtype=numpy.uint32)
    sys.modules["numpy.random"].set_state((state[0], keys, *state[2:]))


def _take_torch() -> bytes:
    return bytes(sys.modules["torch"].get_rng_state().numpy().tobytes())


def _restore_torch(state: bytes) -> None:
    torch = sys.modules["torch"]
    torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


def _take_rc() -> dict[str, Any]:
    # Going past RcParams keeps the backend unresolved.
    return dict(dict.items(sys.modules["matplotlib"].rcParams))


# matplotlib resolves the backend by itself when it first draws, and IPython sets its figures up.
_RESOLVED = frozenset({"backend", "interactive", "backend_fallback"})


def _rc_change(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    changed = {k: v for k, v in after.items() if k not in before or before[k] != v}
    return {k: v for k, v in changed.items() if k not in _RESOLVED}


def _same_rc(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return not _rc_change(before, after)


def _restore_rc(change: dict[str, Any]) -> None:
    params = sys.modules["matplotlib"].rcParams
    for name, value in change.items():
        params[name] = value


def _take_options() -> dict[str, Any]:
    # The public functions take a hundred times as long to read them all.
    config = sys.modules["pandas._config.config"]
    return dict(_flatten("", config._global_config))


def _flatten(prefix: str, options: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if type(value) is dict:
            yield from _flatten(f"{prefix}{name}.", value)
        else:
            yield prefix + name, value


def _first_options() -> dict[str, Any]:
    config = sys.modules["pandas._config.config"]
    return {key: option.defval for key, option in config._registered_options.items()}


def _options_change(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in after.items() if k not in before or before[k] != v}


def _same_options(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return not _options_change(before, after)


def _restore_options(change: dict[str, Any]) -> None:
    for name, value in change.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated options are set as the cell had set them
            sys.modules["pandas._config.config"].set_option(name, value)


def _take_decimal() -> Any:
    context = decimal.getcontext()
    traps = sorted(s.__name__ for s, on in context.traps.items() if on)
    return (
        context.prec, context.rounding, context.Emin, context.Emax, context.capitals,
        context.clamp, traps,
    )  # fmt: skip


def _restore_decimal(state: Any) -> None:
    precision, rounding, low, high, capitals, clamp, traps = state
    signals = [getattr(decimal, name) for name in traps]
    decimal.setcontext(
        decimal.Context(precision, rounding, low, high, capitals, clamp, [], signals)
    )


def _take_print_options() -> Any:
    return sys.modules["numpy"].get_printoptions()


def _first_print_options() -> Any:
    module = sys.modules.get("numpy._core.printoptions")
    return dict(getattr(module, "default_format_options_dict", None) or _take_print_options())


def _restore_print_options(options: dict[str, Any]) -> None:
    options = {k: v for k, v in options.items() if k != "override_repr"}
    sys.modules["numpy"].set_printoptions(**options)


_UNUSED = 624  # where a Mersenne Twister stands when it was seeded and nothing was drawn since

_ABSENT = object()
COMPONENTS: tuple[Component, ...] = (
    Component("@cwd", _cwd, lambda cwd: os.chdir(cwd) if cwd else None),
    Component("@environ", lambda: dict(os.environ), _restore_environ, change=_environ_change),
    Component("@sys.path", lambda: list(sys.path), _restore_path),
    Component(
        "@random",
        random.getstate,
        random.setstate,
        random=True,
        seeded=lambda state: state[1][-1] == _UNUSED,
    ),
    Component(
        "@numpy.random",
        _take_numpy,
        _restore_numpy,
        module="numpy.random",
        random=True,
        seeded=lambda state: state[0] != "MT19937" or state[2] == _UNUSED,
    ),
    Component("@torch.random", _take_torch, _restore_torch, module="torch", random=True),
    Component("@warnings", _take_filters, _restore_filters, essence=_user_filters),
    Component("@logging", _take_levels, _restore_levels, change=_levels_change, same=_same_levels),
    Component("@logging.handlers", _take_handlers, None),
    Component("@decimal", _take_decimal, _restore_decimal),
    Component("@recursionlimit", sys.getrecursionlimit, sys.setrecursionlimit),
    Component(
        "@numpy.printoptions",
        _take_print_options,
        _restore_print_options,
        module="numpy",
        first=_first_print_options,
    ),
    Component(
        "@matplotlib",
        _take_rc,
        _restore_rc,
        module="matplotlib",
        change=_rc_change,
        same=_same_rc,
        first=lambda: dict(dict.items(sys.modules["matplotlib"].rcParamsOrig)),
    ),
    Component(
        "@pandas",
        _take_options,
        _restore_options,
        module="pandas",
        change=_options_change,
        same=_same_options,
        first=_first_options,
    ),
)

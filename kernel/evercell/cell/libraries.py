"""Process state outside the namespace, piece by piece: that of libraries, once they are loaded."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

from evercell.cell.components import UNUSED, Component

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LIBRARIES"]


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


def _take_color_codes() -> dict[str, Any]:
    # What "b" and "g" mean, which seaborn's themes change.
    colors = sys.modules["matplotlib.colors"]
    return {code: colors.colorConverter.colors[code] for code in colors.BASE_COLORS}


def _restore_color_codes(codes: dict[str, Any]) -> None:
    converter = sys.modules["matplotlib.colors"].colorConverter
    converter.colors.update(codes)
    converter.cache.clear()


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


def _take_print_options() -> Any:
    return sys.modules["numpy"].get_printoptions()


def _first_print_options() -> Any:
    module = sys.modules.get("numpy._core.printoptions")
    options = getattr(module, "default_format_options_dict", None)
    return {**(options or {}), "legacy": False} if options else _take_print_options()


def _restore_print_options(options: dict[str, Any]) -> None:
    options = {k: v for k, v in options.items() if k != "override_repr"}
    sys.modules["numpy"].set_printoptions(**options)


def _take_errors() -> Any:
    return sys.modules["numpy"].geterr()


def _restore_errors(state: dict[str, str]) -> None:
    sys.modules["numpy"].seterr(**state)


def _take_torch_settings() -> Any:
    torch = sys.modules["torch"]
    return str(torch.get_default_dtype()), torch.get_num_threads(), torch.is_grad_enabled()


def _restore_torch_settings(state: tuple[str, int, bool]) -> None:
    torch = sys.modules["torch"]
    dtype, threads, gradients = state
    torch.set_default_dtype(getattr(torch, dtype.removeprefix("torch.")))
    torch.set_num_threads(threads)
    torch.set_grad_enabled(gradients)


def _take_sklearn() -> Any:
    return sys.modules["sklearn"].get_config()


def _restore_sklearn(config: dict[str, Any]) -> None:
    sys.modules["sklearn"].set_config(**config)


LIBRARIES: tuple[Component, ...] = (
    Component(
        "@numpy.random",
        _take_numpy,
        _restore_numpy,
        module="numpy.random",
        random=True,
        seeded=lambda state: state[0] != "MT19937" or state[2] == UNUSED,
    ),
    Component("@torch.random", _take_torch, _restore_torch, module="torch", random=True),
    Component(
        "@torch",
        _take_torch_settings,
        _restore_torch_settings,
        module="torch",
    ),
    Component(
        "@numpy.printoptions",
        _take_print_options,
        _restore_print_options,
        module="numpy",
        first=_first_print_options,
    ),
    Component(
        "@numpy.errors",
        _take_errors,
        _restore_errors,
        module="numpy",
        first=lambda: {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"},
    ),
    Component(
        "@sklearn",
        _take_sklearn,
        _restore_sklearn,
        module="sklearn",
        first=lambda: dict(sys.modules["sklearn._config"]._global_config),
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
        "@matplotlib.colors",
        _take_color_codes,
        _restore_color_codes,
        module="matplotlib.colors",
        first=lambda: dict(sys.modules["matplotlib.colors"].BASE_COLORS),
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

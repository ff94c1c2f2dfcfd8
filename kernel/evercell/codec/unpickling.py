"""Reading a pickle into the world of a live namespace: names, functions and their globals."""

from __future__ import annotations

import pickle
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

from evercell.codec import rebuild
from evercell.codec.code import unmarshal_code
from evercell.codec.nans import NanObjects
from evercell.errors import RestoreError

if TYPE_CHECKING:
    import io
    import types
    from collections.abc import Callable, Sequence

    from evercell.codec.buffers import Buffer
    from evercell.codec.code import Positions

__all__ = ["Unpickler"]


class Unpickler(pickle.Unpickler):
    """Reads one value into the world of a live namespace."""

    def __init__(
        self,
        file: io.BytesIO,
        live: dict[str, Any],
        positions: tuple[Positions, ...],
        resolve: Callable[[str], Any] | None,
        buffers: Sequence[Buffer],
    ) -> None:
        super().__init__(file, buffers=buffers)
        self._live = live
        self._positions = positions
        self._resolve = resolve
        self._nans = NanObjects()

    def persistent_load(self, pid: Any) -> Any:
        return self._nans.of(pid)

    def find_class(self, module: str, name: str) -> Any:
        if module == rebuild.__name__:
            if name == "named":
                return self._resolve or self._live_name
            if name == "make_function":
                return self._function
        elif module == "__main__":
            # Some object named itself as a global; nobody recorded that it depends on it.
            raise RestoreError(f"the value refers to __main__.{name} by a way of its own.")
        return super().find_class(module, name)

    def _live_name(self, name: str) -> Any:
        try:
            return self._live[name]
        except KeyError:
            raise RestoreError(f"the recorded value needs {name}, which is not defined.") from None

    def _function(
        self,
        code: bytes,
        index: int,
        scope: str | dict[str, Any] | None,
        name: str,
        closure: tuple[types.CellType, ...] | None,
    ) -> FunctionType:
        if isinstance(scope, str):
            __import__(scope)
            scope = vars(sys.modules[scope])
        positioned = unmarshal_code(code, self._positions[index])
        return FunctionType(positioned, self._live if scope is None else scope, name, None, closure)

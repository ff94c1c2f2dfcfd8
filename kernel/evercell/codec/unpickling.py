"""Reading a pickle into the world of a live namespace: names, functions and their globals."""

from __future__ import annotations

import pickle
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

from evercell.codec import rebuild
from evercell.codec.buffers import own_memory
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

    def __init__(  # noqa: PLR0917
        self,
        file: io.BytesIO,
        live: dict[str, Any],
        positions: tuple[Positions, ...],
        resolve: Callable[[str], Any] | None,
        buffers: Sequence[Buffer],
        owned: bool,
    ) -> None:
        """`owned`: the buffers are memory that can be written and that nobody else has."""
        self._buffers = iter(buffers)  # are taken in the order in which the stream names them
        super().__init__(file, buffers=self._buffers if owned else map(own_memory, self._buffers))
        self._live = live
        self._positions = positions
        self._resolve = resolve
        self._nans = NanObjects()
        self._apart: dict[int, bytes | bytearray] = {}

    def persistent_load(self, pid: Any) -> Any:
        match pid:
            case ("bytes" | "bytearray" as kind, int(number)):
                if number not in self._apart:
                    self._apart[number] = _made(kind, next(self._buffers, b""))
                return self._apart[number]
            case _:
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


def _made(kind: str, buffer: Buffer) -> bytes | bytearray:
    """The object that was written apart; a bytes object that is there already is as good as new."""
    if kind == "bytearray":
        return buffer if type(buffer) is bytearray else bytearray(buffer)
    whole = buffer.obj if isinstance(buffer, memoryview) else buffer
    if type(whole) is bytes and len(whole) == len(buffer):
        return whole
    return bytes(buffer)

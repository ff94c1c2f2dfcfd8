"""Decoding a recorded cell: every product, in any order, before anything is touched.

Products that may wait, large ones as a rule, are not read: see pending.py.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import partial as bound
from typing import TYPE_CHECKING, Any

from evercell.cell.capture import NOTHING, RESULT, Decoded, Unrestored
from evercell.cell.pending import Waiting
from evercell.codec.pickling import load
from evercell.errors import RestoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evercell.cell.namespace import Namespace
    from evercell.codec.buffers import Buffer
    from evercell.events import CellCompleted, Payload, Product

__all__ = ["decode_cell", "decode_product", "load_modules"]


class _Products:
    """The products of one cell; what one refers to by name is decoded first."""

    def __init__(
        self,
        live: dict[str, Any],
        provide: Callable[[tuple[str, ...]], None],
        products: tuple[Product, ...],
        fetch: Callable[[Payload], Buffer],
        deleted: tuple[str, ...],
    ) -> None:
        self._live = live
        self._provide = provide  # loads what waits on disk
        self._fetch = fetch
        self._deleted = frozenset(deleted)
        self._owner = {name: product for product in products for name in product.names}
        self._done: dict[tuple[str, ...], dict[str, Any]] = {}

    def decode(self, product: Product) -> dict[str, Any]:
        known = self._done.get(product.names)
        if known is None:
            known = self._done[product.names] = self.read(product)
        return known

    def read(self, product: Product) -> dict[str, Any]:
        assert product.payload is not None  # noqa: S101 - the caller has looked
        stream = self._fetch(product.payload)
        buffers = [self._fetch(buffer) for buffer in product.buffers]
        values: dict[str, Any] = load(stream, buffers, self._live, self.resolve)
        if set(values) != set(product.names):
            raise RestoreError("a recorded value holds other variables than its record says.")
        return values

    @property
    def done(self) -> set[tuple[str, ...]]:
        """The products that were decoded, by their names."""
        return set(self._done)

    def resolve(self, name: str) -> Any:
        """What a stream refers to by name."""
        product = self._owner.get(name)
        if product is not None and product.payload is not None:
            return self.decode(product)[name]
        if name not in self._deleted:
            self._provide((name,))
            if name in self._live:
                return self._live[name]
        raise RestoreError(f"the recorded value needs {name}, which is not defined.")


def decode_product(
    live: dict[str, Any],
    event: CellCompleted,
    product: Product,
    fetch: Callable[[Payload], Buffer],
) -> dict[str, Any]:
    """The variables of one product, by name; what it refers to is taken from the same cell or from
    `live`, which is not touched. Raises RestoreError, PayloadError."""
    return _Products(live, lambda _: None, event.products, fetch, event.deleted).decode(product)


def decode_cell(
    space: Namespace,
    event: CellCompleted,
    fetch: Callable[[Payload], Buffer],
    *,
    partial: bool,
    may_wait: Callable[[Product], bool],
    later_run: Waiting | None,
) -> Decoded:
    """See `Namespace.decode`."""
    products = _Products(space.ns, space.provide, event.products, fetch, event.deleted)
    later = {p.names: p for p in event.products if p.payload is not None and may_wait(p)}
    given = _given_back(event.products, partial=partial, made_later=later_run is not None)
    values: dict[str, Any] = {}
    for product in given:
        if product.payload is not None and product.names not in later:
            values.update(products.decode(product))
    for done in products.done & later.keys():  # another one refers to it by name
        values.update(products.decode(later.pop(done)))
    lost = next((p for p in given if p.payload is None and p.names == (RESULT,)), None)
    unrestored = NOTHING if lost is None else Unrestored(lost.reason or "it can't be stored")
    result = values.pop(RESULT, unrestored)
    return Decoded(
        values=values,
        groups=tuple((product.names, product.version) for product in given),
        traced=tuple((p.version, p.traced) for p in event.products if p.traced is not None),
        refers={product.names: product.refers for product in event.products},
        deleted=event.deleted,
        ambient=_decode_ambient(space, event, fetch, partial=partial),
        result_name=event.result,
        result=result,
        key=event.key,
        partial=partial,
        waiting=tuple(
            # Of its own: what was decoded beside it is nothing to hold on to.
            Waiting(
                frozenset(names),
                bound(_Products(space.ns, space.provide, (p,), fetch, ()).read, p),
            )
            for names, p in later.items()
        )
        + (() if later_run is None else (later_run,)),
    )


def _given_back(products: tuple[Product, ...], *, partial: bool, made_later: bool) -> list[Product]:
    """Those that come back now or later. Raises RestoreError if one can't."""
    missing = [p.names for p in products if p.payload is None and p.names != (RESULT,)]
    if made_later or not missing:
        return list(products)
    if partial:
        return [product for product in products if product.names not in missing]
    lost = next(product for product in products if product.names in missing)
    names = ", ".join(lost.names)
    raise RestoreError(f"{names} was not recorded: {lost.reason}. Run the cell again.")


def _decode_ambient(
    space: Namespace, event: CellCompleted, fetch: Callable[[Payload], Buffer], *, partial: bool
) -> tuple[tuple[str, bytes, Callable[[], None]], ...]:
    ambient = []
    for change in event.ambient:
        if change.payload is not None:
            put_back = space.ambient.decode(change.name, fetch(change.payload))
            ambient.append((change.name, change.version, put_back))
        elif not partial:
            raise RestoreError(f"{change.name[1:]} can't be put back. Run the cell again.")
    return tuple(ambient)


def load_modules(names: Iterable[str]) -> None:
    """Import what the cell had imported itself. Raises RestoreError."""
    for name in names:
        # What a package is needed for is loaded with the values; a module of the user's may have
        # changed others when it was imported.
        if name in sys.modules or ("." not in name and not _is_users(name)):
            continue
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # the cell did without it, too
        except Exception as error:  # a module runs any code
            raise RestoreError(f"module {name} can't be imported: {error!r}") from error


def _is_users(name: str) -> bool:
    """Whether a module that is not loaded lies beside the notebook."""
    if name in sys.stdlib_module_names:
        return False
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    file = "" if spec is None else spec.origin or ""
    installed = file.startswith((sys.prefix, sys.base_prefix)) or "site-packages" in file
    return file.endswith(".py") and not installed

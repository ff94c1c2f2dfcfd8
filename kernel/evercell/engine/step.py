"""`@step`: a function whose calls are durable.

    call -> arguments in normal form -> Scope.enter -> Answered: return | Raised: raise
                                                    -> Call: Attempts, driven sync or async

Outside a recorded cell a step is the plain function with its retries: nothing is recorded.
"""

from __future__ import annotations

import functools
import inspect
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from evercell.codec import values
from evercell.engine.attempts import Attempts, drive, drive_async
from evercell.engine.current import calling_workflow
from evercell.engine.durations import Duration, seconds
from evercell.engine.function import FunctionVersion
from evercell.engine.mapping import map_async, map_sync
from evercell.engine.plain import run_plain, run_plain_async
from evercell.engine.retry import ONCE, RetryPolicy
from evercell.engine.scope import Answered, Call, Raised, current_scope
from evercell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Step", "step"]

P = ParamSpec("P")
R = TypeVar("R")

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Step(Generic[P, R]):
    """A durable function; made by `@step`. Calling it returns what the function returns (an
    awaitable, for an async one). In the code of a workflow every call is awaited."""

    __evercell_step__ = True

    def __init__(
        self,
        function: Callable[P, R],
        *,
        retry: RetryPolicy | None = None,
        start_to_close_timeout: Duration | None = None,
        at_most_once: bool = False,
        key: Callable[..., object] | None = None,
        ignore: Iterable[str] = (),
        version: str | int | None = None,
        name: str | None = None,
    ) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), function)
        self.__wrapped__ = function
        self.is_async = inspect.iscoroutinefunction(function)
        _check_kind(function)
        self.retry = retry or ONCE
        self.start_to_close_timeout = (
            None if start_to_close_timeout is None else seconds(start_to_close_timeout)
        )
        self.at_most_once = at_most_once
        self.key = key
        self.ignore = frozenset(ignore)
        self.version = None if version is None else str(version)
        self.name = name or function.__qualname__
        self.signature = inspect.signature(function)
        self.function_version = FunctionVersion(function, self.version)
        parameters = self.signature.parameters
        if unknown := self.ignore - set(parameters):
            raise UsageError(
                f"step {self.name!r} ignores {sorted(unknown)}, which it has no parameters for."
            )
        self._arity = (
            len(parameters)
            if all(p.kind in _POSITIONAL for p in parameters.values())
            and not self.ignore
            and key is None
            else -1
        )

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        options = {
            "retry": self.retry,
            "start_to_close_timeout": self.start_to_close_timeout,
            "at_most_once": self.at_most_once,
            "key": self.key,
            "ignore": tuple(sorted(self.ignore)),
            "version": self.version,
            "name": self.name,
        }
        return _rebuild, (self.__wrapped__, options)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = True
        workflow = calling_workflow()
        if workflow is not None:
            return cast("R", workflow.step(self, args, kwargs))
        if self.is_async:
            return cast("R", self._call_async(args, kwargs))
        begun = self._begin(args, kwargs)
        return cast("R", begun.value if isinstance(begun, Answered) else begun())

    def map(
        self,
        *iterables: Iterable[Any],
        max_concurrency: int = 32,
        return_exceptions: bool = False,
    ) -> Any:
        """Call the step for each item, like the built-in `map`, `max_concurrency` at a time.

        Returns the results in the order of the items: a list, or for an async step an awaitable of
        one. After the first failure no further item is begun; those under way are finished and
        recorded, then the failure is raised. With `return_exceptions` every item is tried and
        failures stand in the list. Raises UsageError for a `max_concurrency` below 1.
        """
        __tracebackhide__ = True
        if max_concurrency < 1:
            raise UsageError("max_concurrency must be at least 1.")
        items = list(zip(*iterables, strict=False))
        workflow = calling_workflow()
        if workflow is not None:
            calls = [functools.partial(workflow.step, self, item, {}) for item in items]
            return map_async(calls, max_concurrency, return_exceptions=return_exceptions)
        if self.is_async:
            return self._map_async(items, max_concurrency, return_exceptions)
        begun = [self._begin(item, {}) for item in items]
        return map_sync(begun, max_concurrency, return_exceptions=return_exceptions)

    async def _call_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        begun = self._begin(args, kwargs)
        return begun.value if isinstance(begun, Answered) else await begun()

    async def _map_async(
        self, items: list[tuple[Any, ...]], limit: int, return_exceptions: bool
    ) -> list[Any]:
        __tracebackhide__ = True
        begun = [self._begin(item, {}) for item in items]
        return await map_async(begun, limit, return_exceptions=return_exceptions)

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answered | Callable[[], Any]:
        """Look the call up, which counts it; the answer, or what is left to do (to call, and for an
        async step to await)."""
        __tracebackhide__ = True
        scope = current_scope()
        if scope is None:
            run: Callable[..., Any] = run_plain_async if self.is_async else run_plain
            plain = functools.partial(self.__wrapped__, *args, **kwargs)
            return functools.partial(run, plain, self.retry, self.start_to_close_timeout)
        entered = scope.enter(self, self.normal_form(args, kwargs))
        match entered:
            case Answered():
                return entered
            case Raised(error):
                return functools.partial(_raise_async if self.is_async else _raise, error)
            case Call():
                attempts = Attempts(
                    scope,
                    entered,
                    self.name,
                    functools.partial(self.view, args, kwargs),
                    self.retry,
                    self.at_most_once,
                )
                body = functools.partial(self.__wrapped__, *args, **kwargs)
                perform: Callable[..., Any] = drive_async if self.is_async else drive
                return functools.partial(perform, attempts, body, self.start_to_close_timeout)

    def normal_form(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[object, ...]:
        """The arguments in normal form: however they were passed, defaults filled in, without
        ignored ones; or what the author's `key` function makes of them."""
        if len(args) == self._arity and not kwargs:
            return args
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if self.key is not None:
            return ("key", self.key(*args, **kwargs))
        return tuple(v for name, v in bound.arguments.items() if name not in self.ignore)

    def view(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The arguments as a JSON object by parameter name, for people."""
        if len(args) == self._arity and not kwargs:
            return values.json_view(dict(zip(self.signature.parameters, args, strict=True)))
        return values.json_view(dict(self.signature.bind(*args, **kwargs).arguments))


def _raise(error: BaseException) -> None:
    __tracebackhide__ = True
    raise error


async def _raise_async(error: BaseException) -> None:
    __tracebackhide__ = True
    raise error


def _check_kind(function: Callable[..., Any]) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(
            f"{function.__qualname__} is a generator, and a step's result must be one value. "
            "Collect the items in the function and return them as a list."
        )
    if not callable(function):
        raise UsageError(f"@step decorates functions, not {function!r}.")


def _rebuild(function: Callable[..., Any], options: dict[str, Any]) -> Step[..., Any]:
    return Step(function, **options)


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...


@overload
def step(
    *,
    retry: RetryPolicy | None = None,
    start_to_close_timeout: Duration | None = None,
    at_most_once: bool = False,
    key: Callable[..., object] | None = None,
    ignore: Iterable[str] = (),
    version: str | int | None = None,
    name: str | None = None,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function's calls durable: `@step`, or `@step(retry=..., ...)`.

    In a recorded cell a call whose result is in the history returns it without running the body;
    else the body runs, and its result is on disk before the caller sees it. A call is known by its
    function (name, code, and the helpers, constants and data it reads), its arguments, and how many
    identical calls the cell made before.

    retry: when failed attempts are tried again; without one a step is tried once. `RetryPolicy()`
        has Temporal's defaults.
    start_to_close_timeout: limit of one attempt, in seconds, as timedelta or text ("2m").
    at_most_once: durable before the body starts; a call in doubt raises InDoubtError.
    key: function of the arguments whose value stands for them.
    ignore: names of parameters that don't count, such as a client.
    version: replaces the code in the identity: results stay valid until the author changes it.
    name: shown instead of the function's qualified name; part of no key.

    Raises UsageError for generators and for options that make no sense.
    """
    if function is not None:
        return Step(function)
    return functools.partial(Step, **options)

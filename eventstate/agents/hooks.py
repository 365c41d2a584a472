"""Functions that are called before and after an agent's reply, print and observe."""

from __future__ import annotations

import contextvars
import copy
import functools
import inspect
import logging
from asyncio import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias

from eventstate.errors import AgentBusyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_LOG: Final = logging.getLogger("eventstate.agents")

Hook: TypeAlias = "Callable[..., Any]"
Status: TypeAlias = Literal["finished", "interrupted", "cancelled", "failed"]

METHODS: Final = ("reply", "print", "observe")
_MARK: Final = "_eventstate_hooked"
HOOK_TYPES: Final = tuple(f"{when}_{method}" for when in ("pre", "post", "finally") for method in METHODS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a hooked call ended, as a finally hook is told."""

    status: Status
    """`interrupted` by `Agent.interrupt`, `cancelled` by anybody else, or `failed` with an error."""
    result: Any = None
    """What the call gave, after the post hooks; a copy."""
    error: BaseException | None = None


@dataclass(slots=True, eq=False)
class _Running:
    """One hooked call; the context in which it runs, and those that come of it, know it."""

    owner: Hooked
    method: str
    in_hooks: bool = True
    live: bool = True


# In the context and not on the agent: two calls at once are two calls, and both are hooked.
_RUNNING: Final[contextvars.ContextVar[tuple[_Running, ...]]] = contextvars.ContextVar(
    "eventstate.agents.hooks", default=()
)


class Hooked:
    """The half of an agent that has hooks.

    A pre hook is called as `hook(agent, kwargs)` and gives other kwargs, or `None`; a post hook as
    `hook(agent, kwargs, output)` and gives another output, or `None`; a finally hook as
    `hook(agent, kwargs, outcome)`, whatever happened, and what it gives is not used. Hooks may be
    coroutine functions. What they get are copies. Those of the instance are called before those of its
    class, and these before those of the classes that it is made of.

    A call waits for its hooks: a plain one that blocks keeps the event loop from going on; one that is
    awaited is cancelled, or interrupted, with the call.
    """

    supported_hook_types: ClassVar[list[str]] = list(HOOK_TYPES)
    """What a hook may be called before or after, or `finally_`, whatever happens."""

    _eventstate_class_hooks: ClassVar[dict[str, dict[str, Hook]]] = {}
    """Those of this very class."""

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        for method in METHODS:  # inherited ones too: they may come from a class that is no agent's
            function = getattr(cls, method, None)
            if function is not None and not hasattr(function, _MARK):
                setattr(cls, method, hooked(function))

    def _instance_hooks(self) -> dict[str, dict[str, Hook]]:
        """Give the instance's own hooks: by type, by name."""
        raise NotImplementedError

    def _cancelled_by(self) -> Status:
        """Tell what a cancellation that arrives now is to be called."""
        raise NotImplementedError

    async def _surrounded(self, method: str, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ARG002 - for subclasses
        """Make a call with all its hooks; what has to stand around that goes here."""
        return await call()

    def register_instance_hook(self, hook_type: str, hook_name: str, hook: Hook) -> None:
        """Add a hook to this agent alone, in place of one of that name.

        Args:
            hook_type: `pre_`, `post_` or `finally_`, followed by `reply`, `print` or `observe`.
            hook_name: what it is replaced and removed by.
            hook: see `Hooked`.

        Raises:
            ValueError: there is no such type.
        """
        _put(self._instance_hooks(), hook_type, hook_name, hook)

    def remove_instance_hook(self, hook_type: str, hook_name: str) -> None:
        """Take a hook of this agent away.

        Raises:
            ValueError: there is no such type, or no such hook.
        """
        _remove(self._instance_hooks(), hook_type, hook_name, type(self).__name__)

    def clear_instance_hooks(self, hook_type: str | None = None) -> None:
        """Take all hooks of this agent away, or those of one type."""
        _clear(self._instance_hooks(), hook_type)

    @classmethod
    def register_class_hook(cls, hook_type: str, hook_name: str, hook: Hook) -> None:
        """Add a hook to all agents of this class and of those made of it, in place of one of that name.

        Raises:
            ValueError: there is no such type.
        """
        _put(cls._own_hooks(), hook_type, hook_name, hook)

    @classmethod
    def remove_class_hook(cls, hook_type: str, hook_name: str) -> None:
        """Take a hook of this very class away.

        Raises:
            ValueError: there is no such type, or no such hook.
        """
        _remove(cls._own_hooks(), hook_type, hook_name, cls.__name__)

    @classmethod
    def clear_class_hooks(cls, hook_type: str | None = None) -> None:
        """Take all hooks of this very class away, or those of one type."""
        _clear(cls._own_hooks(), hook_type)

    @classmethod
    def _own_hooks(cls) -> dict[str, dict[str, Hook]]:
        if "_eventstate_class_hooks" not in vars(cls):
            cls._eventstate_class_hooks = {}
        return cls._eventstate_class_hooks

    def _hooks(self, hook_type: str) -> list[Hook]:
        """List the hooks in the order of their calls; of two of one name, the nearer class's counts."""
        hooks = list(self._instance_hooks().get(hook_type, {}).values())
        named: dict[str, Hook] = {}
        for cls in type(self).__mro__:
            for name, hook in vars(cls).get("_eventstate_class_hooks", {}).get(hook_type, {}).items():
                named.setdefault(name, hook)
        return [*hooks, *named.values()]


def hooked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a method of a `Hooked` call its hooks, once for all the overridings that a call goes through."""
    method = function.__name__
    signature = inspect.signature(function)

    @functools.wraps(function)
    async def wrapper(self: Hooked, *args: Any, **kwargs: Any) -> Any:
        before = tuple(running for running in _RUNNING.get() if running.live)
        inside = [running for running in before if running.owner is self and running.method == method]
        if any(running.in_hooks for running in inside):
            raise AgentBusyError(f"{self!r}: a hook of {method} may not call {method} of its own agent")
        if inside and getattr(type(self), method) is not wrapper:  # an overriding calls what it overrides
            return await function(self, *args, **kwargs)
        running = _Running(self, method)
        _RUNNING.set((*before, running))
        try:
            call = functools.partial(
                _call, running, function, signature, _named(signature, self, args, kwargs)
            )
            return await (call() if inside else self._surrounded(method, call))
        finally:
            running.live = False
            _RUNNING.set(before)

    setattr(wrapper, _MARK, True)
    return wrapper


def within(owner: Hooked, method: str) -> bool:
    """Say whether the caller is part of a call of that method."""
    return any(
        running.owner is owner and running.method == method and running.live for running in _RUNNING.get()
    )


async def _call(
    running: _Running, function: Callable[..., Any], signature: inspect.Signature, kwargs: dict[str, Any]
) -> Any:
    """Make a call with its hooks."""
    self, method = running.owner, running.method
    try:
        for hook in self._hooks(f"pre_{method}"):
            kwargs = _changed(hook, await _result(hook(self, copy.deepcopy(kwargs))), kwargs)
        running.in_hooks = False
        try:
            output = await _spread(function, signature, self, kwargs)
        finally:
            running.in_hooks = True
        for hook in self._hooks(f"post_{method}"):
            changed = await _result(hook(self, copy.deepcopy(kwargs), copy.deepcopy(output)))
            output = output if changed is None else changed
    except GeneratorExit:  # the event loop was closed: nothing may be awaited any more
        raise
    except CancelledError as error:
        await _finally(running, kwargs, Outcome(self._cancelled_by(), error=error))
        raise
    except BaseException as error:
        await _finally(running, kwargs, Outcome("failed", error=error))
        raise
    await _finally(running, kwargs, Outcome("finished", output))
    return output


async def _finally(running: _Running, kwargs: dict[str, Any], outcome: Outcome) -> None:
    """Call all finally hooks, even if one raises; that one makes the call fail, unless it failed before."""
    failure: BaseException | None = None
    for hook in running.owner._hooks(f"finally_{running.method}"):  # noqa: SLF001 - the other half of Hooked
        try:
            told = Outcome(outcome.status, copy.deepcopy(outcome.result), outcome.error)
            await _result(hook(running.owner, copy.deepcopy(kwargs), told))
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - the hooks that follow are promised their call
            if isinstance(error, CancelledError) or (outcome.error is None and failure is None):
                failure = error  # a cancellation has to go on as one
            else:
                _LOG.exception("a finally hook of %s failed after an error", running.method, exc_info=error)
    if failure is not None:
        raise failure


async def _result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _changed(hook: Hook, changed: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    if changed is None:
        return kwargs
    if not isinstance(changed, dict):
        name = getattr(hook, "__name__", hook)
        raise TypeError(f"pre hook {name} gives a dict of arguments or None, not {type(changed).__name__}")
    return changed


def _named(
    signature: inspect.Signature, self: Hooked, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Give the arguments of a call by the names of the parameters, with defaults."""
    bound = signature.bind(self, *args, **kwargs)
    bound.apply_defaults()
    named = dict(bound.arguments)
    del named[next(iter(named))]
    return named


async def _spread(
    function: Callable[..., Any], signature: inspect.Signature, self: Hooked, named: Mapping[str, Any]
) -> Any:
    """Call with arguments that were named by `_named`, and perhaps changed by hooks."""
    left = dict(named)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    kinds = list(signature.parameters.values())[1:]
    many = any(left.get(p.name) for p in kinds if p.kind is p.VAR_POSITIONAL)
    for parameter in kinds:
        if parameter.name not in left:
            continue
        value = left.pop(parameter.name)
        if parameter.kind is parameter.VAR_POSITIONAL:
            args.extend(value)
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs.update(value)
        elif parameter.kind is parameter.POSITIONAL_ONLY or (
            many and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ):
            args.append(value)
        else:
            kwargs[parameter.name] = value
    return await function(self, *args, **kwargs, **left)


def _checked(hook_type: str) -> str:
    if hook_type not in HOOK_TYPES:
        raise ValueError(f"no hook type {hook_type!r}: there are {', '.join(HOOK_TYPES)}")
    return hook_type


def _put(hooks: dict[str, dict[str, Hook]], hook_type: str, hook_name: str, hook: Hook) -> None:
    if not callable(hook):
        raise TypeError(f"hook {hook_name!r} is a function, not {hook!r}")
    hooks.setdefault(_checked(hook_type), {})[hook_name] = hook


def _remove(hooks: dict[str, dict[str, Hook]], hook_type: str, hook_name: str, owner: str) -> None:
    if hook_name not in hooks.get(_checked(hook_type), {}):
        raise ValueError(f"{owner} has no {hook_type} hook {hook_name!r}")
    del hooks[hook_type][hook_name]


def _clear(hooks: dict[str, dict[str, Hook]], hook_type: str | None) -> None:
    if hook_type is None:
        hooks.clear()
    else:
        hooks.pop(_checked(hook_type), None)

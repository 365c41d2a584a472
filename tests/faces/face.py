"""The face under test: ours, or an original one in an environment that has it; and how cases are told.

EVENTSTATE_FACE says which: nothing for ours, else `package-backend`. A case imports its classes from here.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from tests.faces.ours import (
        Agent,
        StateModule,
        lifetime,
        message,
        sessions,
        state_service,
        stream_printing_messages,
    )

__all__ = [
    "LOGGER",
    "Agent",
    "Difference",
    "StateModule",
    "awaited",
    "by_face",
    "differs",
    "lifetime",
    "message",
    "outcome",
    "outcome_of",
    "sessions",
    "state_service",
    "stream_printing_messages",
]

NAME = os.environ.get("EVENTSTATE_FACE") or "eventstate"
PACKAGE, _, BACKEND = NAME.partition("-")
LOGGER = {"eventstate": "eventstate", "agentscope": "as", "runtime": "agentscope_runtime"}[PACKAGE]

Case = TypeVar("Case", bound="Callable[..., Any]")

_SAME: Any = object()
_PATIENCE = 20
"""Seconds after which a case that waits for nothing fails instead."""


def __getattr__(name: str) -> Any:
    """A class or function of the face."""
    if name.startswith("_"):
        raise AttributeError(name)
    module = {"eventstate": "ours", "agentscope": "agentscope", "runtime": "runtime"}[PACKAGE]
    return getattr(importlib.import_module(f"tests.faces.{module}"), name)


class Difference(NamedTuple):
    """A row in which ours is not the original's, on purpose."""

    original: str
    """What the original does."""
    why: str
    """Why ours does not."""


def differs(original: str, why: str) -> Callable[[Case], Case]:
    """Mark a case whose answers depend on the face: what the original does, and why ours differs."""

    def mark(case: Case) -> Case:
        case.__dict__["difference"] = Difference(original, why)
        return case

    return mark


def by_face(
    ours: Any, original: Any = _SAME, *, json: Any = _SAME, redis: Any = _SAME, memory: Any = _SAME
) -> Any:
    """Pick the answer of the face under test: ours, a backend's own, or that of all originals."""
    if PACKAGE == "eventstate":
        return ours
    own = {"json": json, "redis": redis, "memory": memory}[BACKEND]
    answer = original if own is _SAME else own
    if answer is _SAME:
        raise LookupError(f"the case says nothing of {NAME}")
    return answer


def awaited(case: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a case in an event loop of its own."""

    @functools.wraps(case)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(case(*arguments, **named), _PATIENCE))

    return run


def _builtin(error: Exception) -> str:
    """Name the builtin that an error is: what a caller who knows the original would catch."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")


def outcome(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call, and give the result, or the name of the builtin error."""
    try:
        return call(*arguments, **named)
    except Exception as error:  # noqa: BLE001 - it becomes the answer that the case looks at
        return _builtin(error)


async def outcome_of(answer: Awaitable[Any]) -> Any:
    """Await, and give the result, or the name of the builtin error."""
    try:
        return await answer
    except Exception as error:  # noqa: BLE001 - it becomes the answer that the case looks at
        return _builtin(error)

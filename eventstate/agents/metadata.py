"""What is told of a module's state as a whole."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict

from eventstate.agents.shape import codec_of, inside, nested

if TYPE_CHECKING:
    from eventstate.agents.shape import Modular
    from eventstate.session import Session

_SETTINGS: Final = ("category", "tags", "ttl_seconds")


class StateMetadata(BaseModel):
    """A description of a module's state; times are those of the journal, `None` without one.

    Attributes:
        created_at: when the first round was written.
        updated_at: when the latest was.
        version: the version of the state's shape.
        size_bytes: of the state, packed.
        checksum: SHA-256 of the packed state, in hexadecimal; equal for equal states.
        tags: those that were given, and the session's.
        category: what was given.
        ttl_seconds: how long after `updated_at` the state is good, in seconds.
        access_count: how many rounds were written.
        last_access: when the last of them was written, whatever its number.
        state_module_class: the class, with its module.
        nested_modules: the names of nested modules and containers of such.
        registered_attributes: the names of registered attributes.
    """

    model_config = ConfigDict(frozen=True)

    created_at: datetime | None = None
    updated_at: datetime | None = None
    version: str | None = None
    size_bytes: int
    checksum: str
    tags: tuple[str, ...] = ()
    category: str = "general"
    ttl_seconds: float | None = None
    access_count: int = 0
    last_access: datetime | None = None
    state_module_class: str
    nested_modules: tuple[str, ...] = ()
    registered_attributes: tuple[str, ...] = ()

    def is_expired(self, now: datetime) -> bool:
        """Say whether the state is older than `ttl_seconds` at a moment, which has a time zone."""
        if self.ttl_seconds is None or self.updated_at is None:
            return False
        return now - self.updated_at > timedelta(seconds=self.ttl_seconds)


def describe(module: Modular, settings: dict[str, Any]) -> StateMetadata:
    """Describe a module's state; see `StateModule.metadata`.

    Raises:
        TypeError: a setting that is none.
    """
    for name in settings:
        if name not in _SETTINGS:
            raise TypeError(f"metadata has no setting {name!r}; there are {', '.join(_SETTINGS)}")
    cls = type(module)
    chosen = {name: settings.get(name, getattr(cls, name, None)) for name in _SETTINGS}
    data = codec_of(module).encode(module.state_dict())
    binding = inside(module).binding
    told: dict[str, Any] = {} if binding is None else _journaled(binding.session)
    version = cls.state_version
    return StateMetadata(
        **told | {"tags": (*(chosen["tags"] or ()), *told.get("tags", ()))},
        version=None if version is None else str(version),
        size_bytes=len(data),
        checksum=hashlib.sha256(data).hexdigest(),
        category=chosen["category"] or "general",
        ttl_seconds=chosen["ttl_seconds"],
        state_module_class=f"{cls.__module__}.{cls.__qualname__}",
        nested_modules=tuple(nested(module)),
        registered_attributes=tuple(inside(module).attributes),
    )


def _journaled(session: Session) -> dict[str, Any]:
    turns = list(session.rounds())
    if not turns:
        return {"tags": tuple(session.tags())}
    return {
        "created_at": min(turns, key=lambda turn: turn.position).recorded_at,
        "updated_at": turns[-1].recorded_at,
        "tags": tuple(session.tags()),
        "access_count": len(turns),
        "last_access": max(turns, key=lambda turn: turn.position).recorded_at,
    }

"""A pydantic model or a dataclass as the type of a session's state."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from eventstate.errors import InvalidStateError
from eventstate.values.delta import MISSING
from eventstate.values.paths import Path, show

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_BY_IDENTITY: Any = object.__eq__


class StateModel:
    """Turns instances of `model` into states and back, validating both ways.

    A state holds an instance's fields by their names. What it would not bring back is refused: a
    nested model that is an instance of a subclass or loads as another type, and the value of an
    excluded field, a private attribute, or a dataclass's `init=False` field or attribute that is no
    field, unless a new instance has it by itself. (Objects there without an equality of their own,
    such as locks, only have to be of the same type.) A dataclass's `InitVar` needs a default, as
    nothing keeps it.

    What validators make of a value is no loss, but what the model wants. Which fields were set
    explicitly is not kept.
    """

    def __init__(self, model: type[object]) -> None:
        if not (isinstance(model, type) and (_is_model(model) or dataclasses.is_dataclass(model))):
            raise TypeError(f"model is a pydantic model or a dataclass, not {model!r}")
        self._model = model
        self._adapter = _adapter(model)  # type: ignore[arg-type] # mypy denies that classes have hashes

    def load(self, state: dict[Any, Any]) -> Any:
        """Give the instance for a state, by the names of the fields.

        Raises:
            InvalidStateError: the state is not what the model asks for.
        """
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(state, by_alias=False, by_name=True)
        except ValidationError as error:
            places = ", ".join("/" + "/".join(map(str, item["loc"])) for item in error.errors())
            raise InvalidStateError(
                f"{self._model.__name__} refuses the state at {places}: {error}"
            ) from error

    def dump(self, value: Any) -> dict[Any, Any]:
        """Give the state of an instance, or of a dict in its place, after validating it.

        Raises:
            InvalidStateError: it is neither, or not what the model asks for, or a part would be lost.
        """
        name = self._model.__name__
        if isinstance(value, dict):
            value = self.load(value)
        if not isinstance(value, self._model):
            raise InvalidStateError(f"a state is a {name} or a dict, not {type(value).__name__}")
        raw = self._dumped(value)
        loaded = self.load(self._dumped(value))  # a validator may change what it gets
        for loss in _losses(value, raw, loaded, ()):
            raise InvalidStateError(f"{name} can't keep {loss}")
        state = self._dumped(loaded)
        # A validator may change what was given, but then it has to be content with what it made.
        if not _same(state, raw) and not _same(state, self._dumped(self.load(self._dumped(loaded)))):
            raise InvalidStateError(f"{name} can't keep the state: it is another one each time it is loaded")
        return state

    def _dumped(self, instance: Any) -> dict[Any, Any]:
        try:
            state = self._adapter.dump_python(instance, round_trip=True, by_alias=False, warnings=False)
        except (AttributeError, TypeError, ValueError) as error:
            raise InvalidStateError(f"{self._model.__name__} can't be dumped: {error}") from error
        if not isinstance(state, dict):
            raise InvalidStateError(
                f"{self._model.__name__} is dumped as {type(state).__name__}, not as dict"
            )
        return state


@functools.lru_cache(maxsize=256)
def _adapter(model: type[object]) -> TypeAdapter[Any]:
    """Give what validates and dumps; for a dataclass it takes a moment to make."""
    from pydantic import PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter

    try:
        adapter = TypeAdapter(model)
        if not adapter.pydantic_complete:
            adapter.rebuild()
    except (PydanticUndefinedAnnotation, PydanticUserError) as error:
        raise TypeError(f"{model.__name__} can't be the type of a state: {error}") from error
    return adapter


def _losses(given: Any, raw: Any, loaded: Any, path: Path) -> Iterator[str]:
    """Tell what is in `given`, but neither in `raw`, its dump, nor in what was loaded from that."""
    parts, known = _parts(given), raw if isinstance(raw, dict) else {}
    if parts is not None:
        if type(loaded) is not type(given):
            yield f"{show(path)}: {type(given).__name__} would come back as {type(loaded).__name__}"
            return
        others = _parts(loaded) or {}
        made = _made_by_itself(given)
        hidden = {name: value for name, value in parts.items() if name not in known or name in made}
        hidden |= getattr(given, "__pydantic_private__", None) or {}
        restored = others | (getattr(loaded, "__pydantic_private__", None) or {})
        for name, value in hidden.items():
            if not _alike(value, restored.get(name, MISSING)):
                yield f"{show((*path, name))}: it is private, or left out when the model is dumped or loaded"
        given, loaded = parts, others
    if isinstance(given, dict):
        others = loaded if isinstance(loaded, dict) else _parts(loaded) or {}
        for key in [key for key in given if key in others]:
            yield from _losses(given[key], known.get(key), others[key], (*path, key))
    elif _is_row(given) and _is_row(loaded):
        paired = len(given) == len(loaded) and not isinstance(given, AbstractSet)
        dumps = raw if _is_row(raw) and len(raw) == len(given) else [None] * len(given)
        back = list(loaded)
        for index, (item, dump) in enumerate(zip(given, dumps, strict=True)):
            # Where a validator made a list shorter or longer, any element may be what became of one.
            candidates = (
                [back[index]] if paired else (other for other in back if isinstance(item, type(other)))
            )
            yield from _loss_in_all(item, dump, candidates, (*path, index))


def _loss_in_all(item: Any, dump: Any, candidates: Iterable[Any], path: Path) -> list[str]:
    loss = None
    for other in candidates:
        loss = next(_losses(item, dump, other, path), None)
        if loss is None:
            return []
    return [] if loss is None else [loss]


def _is_row(value: Any) -> bool:
    return isinstance(value, Collection) and not isinstance(value, (str, bytes, bytearray, dict))


def _parts(value: Any) -> dict[str, Any] | None:
    """Give the fields of a model or dataclass by name; `None` for anything else."""
    if _is_model(type(value)):
        fields = type(value).model_fields
        own = {name: item for name, item in vars(value).items() if name in fields}
        return own | (value.__pydantic_extra__ or {})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        own = {name: getattr(value, name) for name in names if hasattr(value, name)}
        cls, others = type(value), getattr(value, "__dict__", {})
        return own | {
            name: item for name, item in others.items() if name not in names and not _is_cached(cls, name)
        }
    return None


def _made_by_itself(value: Any) -> set[str]:
    """Give the fields of a dataclass that a new instance takes from nobody."""
    if not dataclasses.is_dataclass(value):
        return set()
    return {field.name for field in dataclasses.fields(value) if not field.init}


def _is_cached(cls: type, name: str) -> bool:
    """Say whether an attribute is what a cached property keeps, which can be computed again."""
    return isinstance(inspect.getattr_static(cls, name, None), functools.cached_property)


def _is_model(cls: type) -> bool:
    return hasattr(cls, "__pydantic_extra__")


def _alike(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if one is other or type(one).__eq__ == _BY_IDENTITY:
        return True
    return bool(one == other) or (one != one and other != other)  # noqa: PLR0124 - NaN


def _same(one: Any, other: Any) -> bool:
    return one == other or repr(one) == repr(other)  # NaN equals itself in the latter alone

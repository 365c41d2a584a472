"""The allow-list of a caller's own types: what may be stored, and how it is rebuilt.

Decoding looks a name up here and nowhere else: no name found in a file is ever imported.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import types
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    _Slots = Sequence[tuple[str, Any]]

T = TypeVar("T")

_NATIVE: Final = frozenset({
    type(None), bool, int, float, str, bytes, bytearray, memoryview,
    dict, list, tuple, set, frozenset, object,
})  # fmt: skip


class Entry(NamedTuple):
    """How one registered type is stored."""

    name: str
    cls: type
    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]
    mutable: bool = True
    inside: Callable[[Any], Any] | None = None
    """Gives the parts of an instance by the names that a path shows; by default `dump` does."""

    def dumped(self, instance: Any) -> Any:
        """Give what is stored for `instance`.

        Raises:
            TypeError: its `dump` failed.
        """
        try:
            return self.dump(instance)
        except RecursionError:
            raise
        except Exception as error:
            raise TypeError(f"{self.name} can't be dumped: {error!r}") from error

    def loaded(self, payload: Any) -> Any:
        """Give the instance for what was stored.

        Raises:
            ValueError: its `load` failed.
        """
        try:
            return self.load(payload)
        except RecursionError:
            raise
        except Exception as error:
            raise ValueError(f"{self.name} can't be loaded: {error!r}") from error

    def parts(self, instance: Any) -> Any:
        """Give a container of what stands inside `instance`, or something without parts."""
        try:
            return (self.inside or self.dump)(instance)
        except Exception:  # noqa: BLE001 - then it is the instance itself that can't be dumped
            return None


class Unregistered(NamedTuple):
    """A stored value whose type is not registered in this store; it is written back unchanged."""

    name: str
    payload: Any

    def __hash__(self) -> int:
        return hash(self.name)  # what stood in a set or as a key had a hash, but its payload may have none


class TypeRegistry:
    """Types that a store may hold beside the builtin ones.

    Args:
        *types: registered at once with their default names.
        unknown: what reading a value of an unregistered type does: `"error"` raises
            `UnsupportedValueError`, `"keep"` gives an `Unregistered` in its place.
    """

    def __init__(self, *types: type, unknown: Literal["error", "keep"] = "error") -> None:
        if unknown not in ("error", "keep"):
            raise ValueError(f"unknown must be 'error' or 'keep', not {unknown!r}")
        self.unknown: Literal["error", "keep"] = unknown
        self.by_type: dict[type, Entry] = {}
        self.by_name: dict[str, Entry] = {}
        self.texts: set[type] = set()
        """Types whose instances may equal a string, and so be found under it as keys."""
        for cls in types:
            self.register(cls)

    def register(
        self,
        cls: type[T],
        *,
        name: str | None = None,
        dump: Callable[[T], Any] | None = None,
        load: Callable[[Any], T] | None = None,
    ) -> type[T]:
        """Allow instances of exactly `cls`; usable as a class decorator.

        Args:
            cls: an enum, dataclass, named tuple or pydantic model; any other class needs
                `dump` and `load`.
            name: what stands in the file; the qualified name of the class by default. Keep
                it when the class is renamed or moved.
            dump: gives a storable value for an instance.
            load: gives the instance back for what `dump` gave.

        Returns:
            `cls` itself.

        Raises:
            TypeError: `cls` needs `dump` and `load`, or only one of them was given, or it is a
                builtin type that is stored without registering, or not at all.
            ValueError: the name is taken by another class.
        """
        if not isinstance(cls, type):
            raise TypeError(f"only classes can be registered, not {cls!r}")
        if cls in _NATIVE:
            raise TypeError(f"{cls.__qualname__} can't be registered")
        if (dump is None) != (load is None):
            raise TypeError(f"{cls.__qualname__}: dump and load go together")
        name = name or f"{cls.__module__}.{cls.__qualname__}"
        self._check_name(name, cls)
        if dump is not None and load is not None:
            entry = Entry(name, cls, dump, load)
        else:
            entry = _entry_for(cls, name)
        self.by_type[cls] = self.by_name[name] = entry
        if cls.__eq__ is not object.__eq__ and cls.__hash__ is not None:
            self.texts.add(cls)
        return cls

    def include(self, other: TypeRegistry) -> None:
        """Allow what another registry allows too; unregistered types are kept if one of the two keeps them.

        Raises:
            ValueError: a name is taken by another class; nothing has changed.
        """
        for name, entry in other.by_name.items():
            self._check_name(name, entry.cls)
        self.by_type.update(other.by_type)
        self.by_name.update(other.by_name)
        self.texts |= other.texts
        if other.unknown == "keep":
            self.unknown = "keep"

    def keeping(self) -> TypeRegistry:
        """Give a registry of the same types, of later ones too, that keeps values of unregistered types."""
        other = TypeRegistry(unknown="keep")
        other.by_type, other.by_name, other.texts = self.by_type, self.by_name, self.texts
        return other

    def _check_name(self, name: str, cls: type) -> None:
        taken = self.by_name.get(name)
        if taken is not None and taken.cls is not cls:
            raise ValueError(f"the name {name!r} is taken by {taken.cls!r}")


def _entry_for(cls: type, name: str) -> Entry:
    if issubclass(cls, enum.Flag):
        return Entry(name, cls, lambda member: member._value_, cls, mutable=False)
    if issubclass(cls, enum.Enum):
        # Not cls.__getitem__: what is mixed in, as str is, may have one of its own.
        return Entry(name, cls, lambda member: member._name_, lambda key: cls[key], mutable=False)
    import dataclasses

    if dataclasses.is_dataclass(cls):
        return _dataclass_entry(cls, name)
    if _is_pydantic_model(cls):
        load = functools.partial(_load_model, cls)
        dump = functools.partial(_dump_model, _slots_of(cls))
        return Entry(name, cls, dump, load, inside=_parts_of_model)
    if issubclass(cls, tuple) and hasattr(cls, "_make"):
        return _namedtuple_entry(cls, name)
    raise TypeError(
        f"{cls.__qualname__} is no enum, dataclass, named tuple or pydantic model: give dump and load"
    )


def _namedtuple_entry(cls: Any, name: str) -> Entry:
    def dump(instance: Any) -> list[Any]:
        _refuse_others(instance, {})
        return list(instance)

    return Entry(name, cls, dump, cls._make, inside=list)


def _dataclass_entry(cls: type, name: str) -> Entry:
    import dataclasses

    fields = {field.name: field for field in dataclasses.fields(cls)}
    slots = _slots_of(cls)
    object.__new__(cls)  # a TypeError now, rather than when the first one is read

    def dump(instance: Any) -> dict[str, Any]:
        _refuse_others(instance, fields, slots)
        return {field: getattr(instance, field) for field in fields}

    def load(data: Any) -> Any:
        # __init__ and __post_init__ are not run: an instance comes back as it was, not as made anew.
        _refuse_unknown(data, fields)
        instance: Any = object.__new__(cls)
        for field, how in fields.items():
            if field in data:
                value = data[field]
            elif how.default is not dataclasses.MISSING:
                value = how.default
            elif how.default_factory is not dataclasses.MISSING:
                value = how.default_factory()
            else:
                raise ValueError(f"it needs the field {field!r}, which was not stored")
            object.__setattr__(instance, field, value)
        return instance

    return Entry(name, cls, dump, load)


_PYDANTIC: Final = ("__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")
"""What a pydantic model keeps beside its fields."""


def _is_pydantic_model(cls: type) -> bool:
    # By name, so that pydantic is loaded only by those who use it.
    return any(base.__module__ == "pydantic.main" and base.__name__ == "BaseModel" for base in cls.__mro__)


def _dump_model(slots: _Slots, instance: Any) -> list[Any]:
    fields = type(instance).model_fields
    _refuse_others(instance, {**fields, **dict.fromkeys(_PYDANTIC)}, slots)
    return [
        {field: value for field, value in vars(instance).items() if field in fields},
        instance.__pydantic_extra__,
        instance.__pydantic_fields_set__,
        instance.__pydantic_private__,
    ]


def _parts_of_model(instance: Any) -> dict[str, Any]:
    fields = {name: value for name, value in vars(instance).items() if name not in _PYDANTIC}
    return {**fields, **(instance.__pydantic_extra__ or {}), **(instance.__pydantic_private__ or {})}


def _load_model(cls: Any, data: Any) -> Any:
    # Nothing is validated and no validator run: an instance comes back as it was.
    values, extra, fields_set, private = data
    _refuse_unknown(values, cls.model_fields)
    for field, how in cls.model_fields.items():
        if field not in values:
            if how.is_required():
                raise ValueError(f"it needs the field {field!r}, which was not stored")
            values[field] = how.get_default(call_default_factory=True, validated_data=values)
    instance = cls.__new__(cls)
    object.__setattr__(instance, "__dict__", values)
    for name, value in zip(_PYDANTIC, (extra, fields_set, private), strict=True):
        if value is not None or getattr(cls, name) is not None:  # a RootModel has None for all instances
            object.__setattr__(instance, name, value)
    return instance


def _refuse_others(instance: Any, fields: Any, slots: _Slots = ()) -> None:
    """Refuse attributes that would be lost; what a cached property keeps can be computed again."""
    others = getattr(instance, "__dict__", {}).keys() - fields.keys()
    if others:
        import inspect
    for name in others:
        if not isinstance(inspect.getattr_static(type(instance), name, None), functools.cached_property):
            raise TypeError(f"the attribute {name!r} is no field")
    for name, slot in slots:
        if name not in fields:
            with contextlib.suppress(AttributeError):  # it has no value
                slot.__get__(instance)
                raise TypeError(f"the attribute {name!r} is no field")


def _slots_of(cls: type) -> _Slots:
    members = [item for base in cls.__mro__ for item in vars(base).items()]
    return [(name, slot) for name, slot in members if isinstance(slot, types.MemberDescriptorType)]


def _refuse_unknown(data: Any, fields: Any) -> None:
    unknown = data.keys() - fields.keys()
    if unknown:
        raise ValueError(f"it has no field {', '.join(map(repr, unknown))}")

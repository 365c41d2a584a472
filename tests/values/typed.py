"""Types that the tests register, and what several of them need."""

from __future__ import annotations

import dataclasses
import enum
import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, PrivateAttr

from eventstate.values.codec import Codec
from eventstate.values.registry import TypeRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

CODEC = Codec()


def restart(value: Any, codec: Codec = CODEC) -> Any:
    return codec.decode(codec.encode_stored(value))


def nested(depth: int, kind: Callable[[Any], Any], core: Any) -> Any:
    for _ in range(depth):
        core = kind(core)
    return core


class Point(NamedTuple):
    x: Any
    y: Any


class Plain:
    def __init__(self) -> None:
        self.inner = object()


BAD = object()


class Color(enum.Enum):
    RED = "r"
    GREEN = ("g", 2)


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Plan:
    steps: list[Any]
    at: int = 0
    tags: set[str] = dataclasses.field(default_factory=set)

    @functools.cached_property
    def size(self) -> int:
        return len(self.steps)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    parts: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.name == "made anew":
            raise AssertionError


class Person(BaseModel, extra="allow"):
    name: str
    age: int = 0
    _secret: list[int] = PrivateAttr(default_factory=list)

    @functools.cached_property
    def initial(self) -> str:
        return self.name[0]


class Money:
    def __init__(self, amount: Any) -> None:
        self.amount = amount

    def __eq__(self, other: object) -> bool:
        return type(other) is Money and other.amount == self.amount

    __hash__ = None  # type: ignore[assignment]


REGISTRY = TypeRegistry(Color, Rights, Level, Plan, Frozen, Person, Point)
REGISTRY.register(Money, name="money", dump=lambda money: money.amount, load=Money)
TYPED = Codec(REGISTRY)

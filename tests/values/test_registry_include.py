"""What one registry allows, allowed by another one too."""

from __future__ import annotations

import pytest

from eventstate.values.codec import Codec
from eventstate.values.registry import TypeRegistry
from tests.values.typed import Color, Money, Plan, Point


def test_a_registry_includes_another_unless_a_name_stands_for_two_classes() -> None:
    registry = TypeRegistry(Point)
    registry.include(TypeRegistry(Color, unknown="keep"))
    assert Codec(registry).copy([Point(1, 2), Color.RED]) == [Point(1, 2), Color.RED]
    assert registry.unknown == "keep"
    clash = TypeRegistry(Plan)
    clash.register(Money, name=f"{Point.__module__}.{Point.__qualname__}", dump=vars, load=lambda _: Money(1))
    with pytest.raises(ValueError, match="is taken by"):
        registry.include(clash)
    assert Plan not in registry.by_type

"""Modules that the cases share."""

from __future__ import annotations

from typing import Any

from tests.faces.face import StateModule


class Counter(StateModule):
    """A leaf: two registered attributes, and one that is none of the state."""

    def __init__(self, count: int = 0) -> None:
        super().__init__()
        self.count = count
        self.items: list[Any] = []
        self.scratch = "not state"
        self.register_state("count")
        self.register_state("items")


class Team(StateModule):
    """A tree: attributes registered before and after the modules come."""

    def __init__(self) -> None:
        super().__init__()
        self.title = "team"
        self.register_state("title")
        self.left = Counter(1)
        self.right = Counter(2)
        self.size = 2
        self.register_state("size")


class Empty(StateModule):
    """A module to hang things on."""

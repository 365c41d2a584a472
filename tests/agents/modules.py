"""Modules that tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventstate.agents.module import StateModule


class Open(StateModule):
    """Takes any attribute."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class Counter:
    """Nothing that can be stored by itself."""

    def __init__(self, n: int = 0) -> None:
        self.n = n


class Memory(Open):
    """A registered list."""

    def __init__(self, content: list[Any] | None = None) -> None:
        super().__init__()
        self.content = [] if content is None else content
        self.register_state("content")


class Worker(Open):
    """A registered number."""

    def __init__(self, count: int = 0) -> None:
        super().__init__()
        self.count = count
        self.register_state("count")


class Plain(Open):
    """Registers what it is given."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)
            if not isinstance(value, StateModule):
                self.register_state(name)


class Team(Open):
    """Something of everything: nested modules, lists and dicts of them, and values of all kinds."""

    def __init__(self, *, deep: bool = True) -> None:
        super().__init__()
        self.label = "new"
        self.register_state("label", validator=lambda value: value != "bad")
        self.notes: list[Any] = [1, {"a": [2]}]
        self.register_state("notes", validator=lambda value: "bad" not in value)
        self.facts: dict[Any, Any] = {"k": {"x": 1}}
        self.register_state("facts")
        self.tags = {"t"}
        self.register_state("tags")
        self.counter = Counter()
        self.register_state("counter", lambda counter: {"n": counter.n}, lambda state: Counter(state["n"]))
        if deep:
            self.memory: Any = Memory([{"role": "user"}])
            self.members: Any = [Worker(1), Team(deep=False)]
            self.named: Any = {"one": Worker(5)}
            self.mixed: Any = [Worker(7), [1], {"inner": [Worker(8), 2]}]
            self.register_state("mixed")

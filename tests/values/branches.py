"""Branches whose leaves say which edit put them in place, and what erasing some of the edits comes to."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from eventstate.values.codec import Codec
from eventstate.values.delta import Edit, Op, apply, diff, fold
from eventstate.values.live import LiveState
from eventstate.values.redact import Redactor
from tests.strategies import exact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CODEC = Codec()
KEYS = ["a", "b", "c", 1, "1", None]


def within(path: Any, steps: list[Any], op: Op, value: Any = None) -> Edit:
    return Edit(path, Op.WITHIN, [steps, int(op), value])


def copied(edit: Edit) -> Edit:
    return Edit(CODEC.copy(edit.path), edit.op, CODEC.copy(edit.value))


class Author:
    """Writes edits that fit a state which it folds meanwhile."""

    def __init__(self, choices: random.Random) -> None:
        self.choices = choices
        self.state: dict[Any, Any] = {}
        self.edits: list[Edit] = []

    @property
    def number(self) -> int:
        return len(self.edits)

    def leaf(self) -> Any:
        size = self.choices.randint(1, 6)
        return self.choices.choice(
            [1000 + self.number, chr(0x4E00 + self.number) * size, bytes([self.number]) * size]
        )

    def value(self, depth: int = 0) -> Any:
        kind = self.choices.choice(["leaf", "dict", "list", "list"] if depth < 3 else ["leaf"])
        size = self.choices.randint(0, 3)
        if kind == "dict":
            return {key: self.value(depth + 1) for key in self.choices.sample(KEYS, size)}
        return [self.value(depth + 1) for _ in range(size)] if kind == "list" else self.leaf()

    def run(self, target: Any) -> Any:
        size = self.choices.choice([0, 1, 1, 2, 3])
        if type(target) is list:
            return [self.value(2) for _ in range(size)]
        return chr(0x4E00 + self.number) * size if type(target) is str else bytes([self.number]) * size

    def write(self) -> None:
        found = list(places(self.state))
        if self.choices.random() < 0.6:  # most lie deep, and are less likely to be touched twice
            found = [place for place in found if len(place[0]) < 2 and not place[1]]
        edit = self._edit(*self.choices.choice(found))
        apply(self.state, copied(edit))
        self.edits.append(edit)

    def _edit(self, path: tuple[Any, ...], steps: tuple[Any, ...], target: Any) -> Edit:
        def at(key: Any, op: Op, value: Any = None) -> Edit:
            if steps or isinstance(target, list):
                return within(path, [*steps, key], op, value)
            return Edit((*path, key), op, value)

        def here(op: Op, value: Any) -> Edit:
            return within(path, list(steps), op, value) if steps else Edit(path, op, value)

        dice = self.choices.random()
        if isinstance(target, dict):
            if target and dice < 0.2:
                return at(self.choices.choice(list(target)), Op.DELETE)
            if target and dice < 0.35:
                return here(Op.ORDER, self.choices.sample(list(target), len(target)))
            return at(self.choices.choice(KEYS), Op.SET, self.value())
        if isinstance(target, list) and target and dice < 0.3:
            return at(self.choices.randrange(len(target)), Op.SET, self.value(1))
        index = self.choices.choice([len(target), self.choices.randint(0, len(target))])
        removed = self.choices.choice([0, 0, self.choices.randint(0, len(target) - index)])
        return here(Op.SPLICE, [index, removed, self.run(target)])


def places(
    target: Any, path: tuple[Any, ...] = (), steps: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...], Any]]:
    """Give each container and text with the attribute and the steps that lead there."""
    if isinstance(target, (dict, list, str, bytes)):
        yield path, steps, target
    if isinstance(target, dict):
        for key, item in target.items():
            yield from places(item, *((path, (*steps, key)) if steps else ((*path, key), steps)))
    elif isinstance(target, list):
        for index, item in enumerate(target):
            yield from places(item, path, (*steps, index))


def written(choices: random.Random, count: int) -> list[Edit]:
    """Give edits of every kind, at every depth, as nobody in particular makes them."""
    author = Author(choices)
    for _ in range(count):
        author.write()
    return author.edits


def reshape(root: Any, author: Author) -> None:
    """Change a plain or live state a little."""
    choices = author.choices
    for _ in range(choices.randint(1, 3)):
        nodes = [root]
        for node in nodes:
            below = node.values() if isinstance(node, dict) else node
            nodes.extend(item for item in below if isinstance(item, (dict, list)))
        node = choices.choice(nodes)
        if isinstance(node, dict):
            key = choices.choice([*node, *KEYS])
            if key in node and choices.random() < 0.3:
                node[key] = node.pop(key)
            elif key in node and choices.random() < 0.3:
                del node[key]
            elif isinstance(node.get(key), (str, bytes)):
                node[key] += author.run(node[key])
            else:
                node[key] = author.value()
        elif choices.random() < 0.2:
            node.reverse()
        else:
            i = choices.randint(0, len(node))
            node[i : i + choices.randint(0, 2)] = author.run([])


def saved(choices: random.Random, count: int) -> list[Edit]:
    """Give the differences between the states of a branch, of which some are live rounds."""
    author = Author(choices)
    while author.number < count:
        if choices.random() < 0.5:
            live = LiveState(author.state, CODEC)
            reshape(live.root, author)
            edits = live.edits()
        else:
            state = CODEC.copy(author.state)
            reshape(state, author)
            edits = diff(author.state, state, CODEC)
        edits = list(map(copied, edits))
        fold(map(copied, edits), author.state)
        author.edits += edits
    return author.edits


branches: st.SearchStrategy[list[Edit]] = st.builds(
    lambda seed, count, make: make(random.Random(seed), count),
    st.integers(0, 2**64),
    st.integers(1, 40),
    st.sampled_from([written, saved]),
)


class Case(NamedTuple):
    """A branch, and for each edit whether it is erased; a path: what it says of that."""

    edits: list[Edit]
    erased: list[bool | tuple[Any, ...]]


def cased(edits: list[Edit], seed: int, *, paths: bool) -> Case:
    choices = random.Random(seed)
    share = choices.choice([0.1, 0.3, 0.6])
    path = choices.choice([edit.path[: choices.randint(1, 3)] for edit in edits if edit.path] or [("a",)])
    kinds: list[bool | tuple[Any, ...]] = [True, True, path] if paths else [True]
    return Case(edits, [choices.random() < share and choices.choice(kinds) for _ in edits])


cases = st.builds(cased, branches, st.integers(0, 2**64), paths=st.booleans())
whole_cases = st.builds(cased, branches, st.integers(0, 2**64), paths=st.just(value=False))


def redact(redactor: Redactor, edit: Edit, erased: bool | tuple[Any, ...]) -> Edit | None:  # noqa: FBT001 - a case
    if isinstance(erased, tuple):
        return redactor.erase_path(edit, erased)
    return redactor.erase(edit) if erased else redactor.keep(edit)


def redacted(case: Case) -> list[Edit | None]:
    redactor = Redactor(CODEC)
    return [redact(redactor, *pair) for pair in zip(*case, strict=True)]


def states_of(edits: list[Edit] | list[Edit | None]) -> Iterator[dict[Any, Any]]:
    """Give the state after each edit, by the ordinary fold."""
    state: dict[Any, Any] = {}
    for edit in edits:
        if edit is not None:
            apply(state, copied(edit))
        yield state


class Tagged:
    """A value of which dicts and lists hold tagged values, and texts are lists of tagged pieces."""

    def __init__(self, value: Any, erased: Callable[[tuple[Any, ...]], bool], path: tuple[Any, ...]) -> None:
        self.gone = erased(path)
        self.kind = type(value)
        self.content: Any = value
        if self.kind is dict:
            self.content = {key: Tagged(item, erased, (*path, key)) for key, item in value.items()}
        elif self.kind is list:
            self.content = [Tagged(item, lambda _: self.gone, path) for item in value]
        elif self.kind in (str, bytes):
            self.content = [(value[i : i + 1], self.gone) for i in range(len(value))]

    def stripped(self) -> Any:
        if self.kind is dict:
            return {key: item.stripped() for key, item in self.content.items() if not item.gone}
        if self.kind is list:
            return [item.stripped() for item in self.content if not item.gone]
        if self.kind in (str, bytes):
            return self.kind().join(piece for piece, gone in self.content if not gone)
        return self.content


class Model:
    """The fold of tagged values."""

    def __init__(self) -> None:
        self.root = Tagged({}, lambda _: False, ())

    def step(self, edit: Edit, choice: bool | tuple[Any, ...]) -> None:  # noqa: FBT001 - a case
        where, op, value = edit
        if op == Op.WITHIN:
            steps, op, value = value
            where = (*where, *steps)

        def erased(path: tuple[Any, ...]) -> bool:
            if isinstance(choice, tuple):
                return bool(exact(path[: len(choice)]) == exact(choice))
            return choice

        if edit.op == Op.WITHIN:  # what is below a list is no attribute of its own
            own = erased(edit.path)
            self._do(where, op, value, lambda _: own)
        else:
            self._do(where, op, value, erased)

    def _do(self, where: Any, op: int, value: Any, erased: Callable[[tuple[Any, ...]], bool]) -> None:
        whole = where if op in (Op.SPLICE, Op.ORDER) else where[:-1]
        nodes, lost = [self.root], False
        for key in whole:
            nodes.append(nodes[-1].content[key])
            lost |= nodes[-2].kind is list and nodes[-1].gone
        node = nodes[-1]
        if op == Op.SET:
            new = Tagged(value, erased, where)
            if not new.gone and not lost:
                self._revive(nodes, where)
            if node.kind is dict and (where[-1] not in node.content or node.content[where[-1]].gone):
                node.content.pop(where[-1], None)
            node.content[where[-1]] = new
        elif op == Op.DELETE:
            del node.content[where[-1]]
        elif op == Op.SPLICE:
            index, removed, items = value
            new = Tagged(items, erased, where)
            if items and not new.gone and not lost:
                self._revive(nodes, where)
            node.content[index : index + removed] = new.content
        elif op == Op.ORDER and not erased(where):
            node.content = {key: node.content[key] for key in value}

    def _revive(self, nodes: list[Tagged], where: Any) -> None:
        """What was put in a container that was absent makes it be there, as a new key of its dict."""
        for parent, node, key in zip(nodes, nodes[1:], where, strict=False):
            if node.gone:
                node.gone = False
                parent.content[key] = parent.content.pop(key)


def atoms(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from atoms(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from atoms(item)
    elif isinstance(value, (str, bytes)):
        yield from {value[i : i + 1] for i in range(len(value))}
    elif type(value) is int and value >= 1000:
        yield value


def payload(edit: Edit | None) -> set[Any]:
    """Give the leaves that an edit puts in place."""
    if edit is None:
        return set()
    op, value = edit.op, edit.value
    if op == Op.WITHIN:
        _, op, value = value
    return set(atoms(value[2] if op == Op.SPLICE else value if op == Op.SET else None))

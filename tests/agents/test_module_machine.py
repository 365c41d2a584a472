"""Anything that can be done to a bound tree of modules: it is what its session holds, whatever was done.

Beside it stands a twin that is bound to nothing: plain lists and dicts, to which the same is done.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from eventstate import StateStore
from eventstate.agents.module import StateModule
from eventstate.agents.shape import inside, walk
from eventstate.errors import EventStateError
from tests.agents.modules import Counter, Memory, Team, Worker
from tests.stores import packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstate import Session
    from tests.promises import Proofs

VALUES: list[Any] = [
    0,
    1,
    True,
    None,
    "x",
    "bad",
    1.0,
    [3],
    {"d": 4},
    {5},
    (6, [7]),
    [[8], {"e": {9}}],
    object(),
]
"""Some of them are refused: by a validator, or because they can't be stored."""


class Act(NamedTuple):
    """One thing to be done: to which module, with what."""

    what: str
    where: int
    i: int
    value: Any


def containers(value: Any) -> list[Any]:
    """Give the lists and dicts without modules that stand in a value, from the outside in."""
    if isinstance(value, StateModule) or not isinstance(value, (list, dict)):
        return []
    children = list(value.values()) if isinstance(value, dict) else list(value)
    holds = any(isinstance(child, StateModule) for child in children)
    return [*([] if holds else [value]), *(found for child in children for found in containers(child))]


def is_state(module: Any, name: str) -> bool:
    return name in inside(module).attributes


def deep(module: Any, act: Act) -> None:
    """Change a list or dict somewhere in the module's attributes."""
    names = ("notes", "facts", "content", "mixed", "extra")
    found = [item for name in names if is_state(module, name) for item in containers(getattr(module, name))]
    if not found:
        return
    target = found[act.i % len(found)]
    value = copy.deepcopy(act.value) if type(act.value) is not object else act.value
    if isinstance(target, dict):
        dict_acts: list[Callable[[], object]] = [
            lambda: target.__setitem__(f"k{act.i % 3}", value),
            lambda: target.pop(next(iter(target), None), None),
            lambda: target.update(a=value, b=act.i),
            target.clear,
            lambda: target.setdefault("deep", value),
        ]
        dict_acts[act.where % len(dict_acts)]()
    else:
        list_acts: list[Callable[[], object]] = [
            lambda: target.append(value),
            lambda: target.insert(act.i, value),
            lambda: target.pop() if target else None,
            lambda: target.__setitem__(slice(0, act.i), [value, act.i]),
            target.reverse,
            lambda: target.sort(key=repr),
            lambda: target.extend([value, value]),
            target.clear,
        ]
        list_acts[act.where % len(list_acts)]()


def first(module: Any, name: str) -> Any:
    return getattr(module, name, None)


def add_member(module: Any, act: Act) -> None:
    members = first(module, "members")
    new = [Worker(act.i), Memory([act.i]), Team(deep=False)][act.i % 3]
    if members:
        members.insert(act.where % 4, new)
    elif hasattr(module, "label"):
        module.members = [new]


def drop_member(module: Any, act: Act) -> None:
    if first(module, "members"):
        module.members.pop(act.i % len(module.members))


def swap_members(module: Any, act: Act) -> None:
    if first(module, "members"):
        if act.i % 2:
            module.members.reverse()
        else:
            module.members.append(module.members.pop(0))


def replace_member(module: Any, act: Act) -> None:
    if first(module, "members"):
        module.members[act.i % len(module.members)] = Worker(act.i)


def move_member(module: Any, act: Act) -> None:
    """From the list to the dict, which takes two changes."""
    if first(module, "members") and isinstance(first(module, "named"), dict):
        module.named[f"moved {act.i % 2}"] = module.members.pop()


def name_one(module: Any, act: Act) -> None:
    if isinstance(first(module, "named"), dict):
        module.named[act.i % 3] = Memory([act.i])


def unname_one(module: Any, act: Act) -> None:
    if first(module, "named"):
        module.named.pop(list(module.named)[act.i % len(module.named)])


def set_memory(module: Any, act: Act) -> None:
    if hasattr(module, "label"):
        module.memory = [Memory([act.i]), None, Worker(act.i), Team(deep=False), "text"][act.i % 5]


def delete(module: Any, act: Act) -> None:
    name = ["memory", "members", "facts", "named", "extra"][act.i % 5]
    if name in vars(module) and (is_state(module, name) or name in inside(module).order):
        delattr(module, name)


def set_attribute(module: Any, act: Act) -> None:
    name = ["label", "notes", "facts", "count", "content", "tags"][act.i % 6]
    if name in vars(module):
        value = copy.deepcopy(act.value) if type(act.value) is not object else act.value
        if name == "tags" and not isinstance(value, set):
            value = {act.where}
        if name == "notes" and not isinstance(value, list):
            value = [value]
        setattr(module, name, value)


def set_mixed(module: Any, act: Act) -> None:
    if first(module, "mixed") is not None:
        choices: list[Any] = [
            [Worker(act.i), [act.i]],
            {"w": Worker(act.i), "plain": {"a": [1]}},
            [1, [2]],
            Worker(3),
            [[[Memory()]]],
        ]
        module.mixed = choices[act.i % 5]


def add_to_mixed(module: Any, act: Act) -> None:
    mixed = first(module, "mixed")
    if isinstance(mixed, list) and any(isinstance(child, StateModule) for child in mixed):
        mixed.append([Worker(act.i), [act.where], {"w": Memory()}][act.i % 3])


def change_mixed(module: Any, act: Act) -> None:
    mixed = first(module, "mixed")
    if isinstance(mixed, list) and mixed:
        mixed[act.i % len(mixed)] = [act.i, [act.i], {"n": act.i}][act.where % 3]
    elif isinstance(mixed, dict) and mixed:
        mixed[next(iter(mixed))] = act.i


def count(module: Any, act: Act) -> None:
    if hasattr(module, "count"):
        module.count += act.i
    elif hasattr(module, "counter"):
        if act.i % 2:
            module.counter.n += act.i
        else:
            module.counter = Counter(act.i)


def tag(module: Any, act: Act) -> None:
    if isinstance(first(module, "tags"), set):
        module.tags.add(act.i)


def register(module: Any, act: Act) -> None:
    if not is_state(module, "extra"):
        module.extra = copy.deepcopy(act.value) if type(act.value) is not object else act.value
        module.register_state("extra")


def load(module: Any, act: Act) -> None:
    """Load a state with a number changed, of which all can be loaded, or nothing."""
    state = module.state_dict()
    if "count" in state:
        state["count"] = act.i
    if "notes" in state:
        state["notes"] = [*state["notes"], act.value if type(act.value) is not object else 1]
    module.load_state_dict(state)


def load_broken(module: Any, act: Act) -> None:
    state = module.state_dict()
    state["label"] = "other"
    for name in ("count", "content", "facts"):
        state.pop(name, None)
    if act.i % 2:
        state["notes"] = ["bad"]
    module.load_state_dict(state)


ACTS: dict[str, Callable[[Any, Act], None]] = {
    act.__name__: act
    for act in (
        deep, add_member, drop_member, swap_members, replace_member, move_member, name_one, unname_one,
        set_memory, delete, set_attribute, set_mixed, add_to_mixed, change_mixed, count, tag, register, load,
        load_broken,
    )
}  # fmt: skip

acts = st.builds(
    Act, st.sampled_from(sorted(ACTS)), st.integers(0, 20), st.integers(0, 9), st.sampled_from(VALUES)
)


def do(root: Any, act: Act) -> None:
    modules = [module for _, module in walk(root)]
    ACTS[act.what](modules[act.where % len(modules)], act)


class Modules(RuleBasedStateMachine):
    """A bound tree, its session, and the twin."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = StateStore(self.folder / "agent.db", durability="normal")
        self.session: Session = self.store.session("u", "s")
        self.root = Team()
        self.twin = Team()
        self.root.bind(self.session)

    def teardown(self) -> None:
        self.store.close()
        with StateStore(self.folder / "agent.db") as store:
            store.drop_snapshots()
            assert packed(store.session("u", "s").state()) == packed(self.root.state_dict())
            assert store.verify().ok
        shutil.rmtree(self.folder)

    def attempt(self, act: Act) -> bool:
        """Do something to the bound tree; if that is refused, nothing has changed."""
        self.root.flush()
        before, version = packed(self.root.state_dict()), self.session.version
        try:
            do(self.root, act)
            self.root.flush()
        except (EventStateError, KeyError, TypeError):
            if act.what == "move_member":  # which does two things
                self.twin = copy.deepcopy(self.root)
                return False
            assert packed(self.root.state_dict()) == before
            assert self.session.version == version
            return False
        return True

    @rule(act=acts)
    def act(self, act: Act) -> None:
        if self.attempt(act):
            do(self.twin, act)

    @rule(found=st.lists(acts, max_size=5), fails=st.booleans())
    def act_in_a_round(self, *, found: list[Act], fails: bool) -> None:
        self.root.flush()
        before, version = packed(self.root.state_dict()), self.session.version
        twin = copy.deepcopy(self.root)
        try:
            with self.root.round(actor="machine"):
                for act in found:
                    do(self.root, act)
                if fails:
                    raise KeyError("a round that fails")  # noqa: TRY301 - that is what is tested
        except (EventStateError, KeyError, TypeError):
            assert packed(self.root.state_dict()) == before
            assert self.session.version == version
            return
        for act in found:
            do(twin, act)
        self.twin = twin

    @rule(act=acts)
    def act_after_another_writer(self, act: Act) -> None:
        self.root.flush()
        before = packed(self.root.state_dict())
        version = self.session.version
        self.session.update(lambda state: state.update(label="elsewhere"))
        if self.session.version == version:
            return
        here = self.session.version
        try:
            do(self.root, act)
            self.root.flush()
            refused = False
        except (EventStateError, KeyError, TypeError):
            refused = True
        assert self.session.version == here
        assert not refused or packed(self.root.state_dict()) == before
        self.root.reload()
        self.twin = copy.deepcopy(self.root)

    @rule()
    def bind_again(self) -> None:
        self.root.flush()
        self.root.unbind()
        version = self.session.version
        assert packed(self.root.state_dict()) == packed(self.session.state())
        self.root.label = "unbound"
        self.root.bind(self.session)
        assert self.session.version == version

    @rule()
    def open_again(self) -> None:
        self.root.flush()
        self.store.close()
        self.store = StateStore(self.folder / "agent.db", durability="normal")
        self.session = self.store.session("u", "s")
        root = copy.deepcopy(self.root)
        root.label = "fresh"
        root.notes = []
        root.bind(self.session)
        self.root = root

    @rule()
    def drop_snapshots(self) -> None:
        self.store.drop_snapshots()

    @invariant()
    def the_tree_is_what_the_session_holds(self) -> None:
        self.root.flush()
        state = packed(self.root.state_dict())
        assert state == packed(self.session.state())
        assert state == packed(self.twin.state_dict())

    @invariant()
    def every_module_of_the_tree_is_bound_and_no_other(self) -> None:
        for _, module in walk(self.root):
            assert inside(module).node is not None


def test_a_bound_tree_and_its_session_never_disagree(proved: Proofs) -> None:
    class Counted(Modules):
        def teardown(self) -> None:
            super().teardown()
            proved("replay")

    run_state_machine_as_test(Counted, settings=settings(max_examples=settings().max_examples * 2))


def test_the_machine_does_all_it_names() -> None:
    """A machine whose acts do nothing would prove nothing."""
    for name in ACTS:
        changed = 0
        for i in range(10):
            for where in range(8):
                root = Team()
                before = packed(root.state_dict())
                try:
                    do(root, Act(name, where, i, [3]))
                except (EventStateError, KeyError, TypeError):
                    continue
                changed += packed(root.state_dict()) != before
        assert changed or name == "load_broken", name

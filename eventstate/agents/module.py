"""Modules: objects whose registered attributes, and nested modules, are state."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from eventstate.agents import listeners, migrations
from eventstate.agents.binding import Binding
from eventstate.agents.loading import Plan
from eventstate.agents.past import AttributeChange, changes_of, upcast_rounds
from eventstate.agents.shape import (
    INSIDE,
    VERSION,
    Attribute,
    Inside,
    Modular,
    codec_of,
    dump,
    holds,
    inside,
    is_nest,
    may_hold,
    nested,
    own_copy,
    validate,
    walk,
)
from eventstate.agents.tree import loose
from eventstate.errors import InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from eventstate.agents.listeners import Listener
    from eventstate.agents.metadata import StateMetadata
    from eventstate.agents.migrations import Migrate, Version
    from eventstate.commits import CommitKeywords
    from eventstate.rounds import Round
    from eventstate.session import Session


class StateModule(Modular):
    """An object with state: registered attributes, and the modules nested in it.

    Nested modules are found in attributes, and in attributes that are lists or dicts of nothing but
    modules (of these one level is looked at). A registered list or dict may mix modules and other values
    at any depth; tuples are not looked into. A subclass calls `super().__init__()` first in its constructor.

    Unbound, a module notices assignments only. Once it is bound to a session each assignment, and each
    change inside a registered dict or list, is committed at once. Attributes that have a `custom_to_json`,
    or are properties, values that are neither dict nor list (sets, dataclasses), and modules with a
    `state_dict` of their own can't tell when they change inside: they are looked at whenever something is
    committed, and by `flush`. A registered list without a module takes its first by assignment.

    A module belongs to one thread, or one event loop.

    Attributes:
        types: the caller's own types that an unbound module may hold; a bound one has its store's.
        state_version: the version of the state's shape; kept in it as `_state_version`.
    """

    def __init__(self) -> None:
        if INSIDE not in vars(self):
            vars(self)[INSIDE] = Inside()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.own_state = (
            cls.state_dict is not StateModule.state_dict
            or cls.load_state_dict is not StateModule.load_state_dict
        )

    def __setattr__(self, name: str, value: Any) -> None:
        own: Inside | None = vars(self).get(INSIDE)
        if own is None:
            if holds(value):
                inside(self)  # raises
            super().__setattr__(name, value)
            return
        if name == INSIDE:
            raise AttributeError(f"{type(self).__name__}: {INSIDE} is the library's own")
        if not (name in own.attributes or name in own.order or may_hold(value)):
            super().__setattr__(name, value)
            return
        if own.binding is not None:
            own.binding.assign(self, name, value)
            return
        validate(self, name, value, (name,))
        with self._heard([name]):
            super().__setattr__(name, value)
            if name not in own.attributes and is_nest(value):
                own.order.setdefault(name)

    def __delattr__(self, name: str) -> None:
        own: Inside | None = vars(self).get(INSIDE)
        if own is None or (name not in own.attributes and name not in own.order):
            super().__delattr__(name)
            return
        binding = own.binding
        if binding is not None:
            if name not in vars(self):
                raise AttributeError(f"{type(self).__name__}: there is no attribute {name!r} to delete")
            binding.deleting(self, name)
        with self._heard([name]):
            super().__delattr__(name)
            own.attributes.pop(name, None)
            own.validators.pop(name, None)
            own.order.pop(name, None)
        if binding is not None:
            binding.changed()

    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()
        own: Inside | None = vars(self).get(INSIDE)
        if own is None:
            return state
        found = state[0] if isinstance(state, tuple) else state
        codec = codec_of(self)
        copied = {name: loose(value, codec) for name, value in found.items()}
        copied[INSIDE] = own.apart()
        return (copied, state[1]) if isinstance(state, tuple) else copied

    def __setstate__(self, state: Any) -> None:
        attributes, slots = state if isinstance(state, tuple) else (state, {})
        vars(self).update(attributes or {})
        for name, value in (slots or {}).items():
            object.__setattr__(self, name, value)

    # State

    def register_state(
        self,
        attr_name: str,
        custom_to_json: Callable[[Any], Any] | None = None,
        custom_from_json: Callable[[Any], Any] | None = None,
        validator: Callable[[Any], object] | None = None,
    ) -> None:
        """Make an attribute a part of the state; registering it again replaces the functions.

        Args:
            attr_name: its name.
            custom_to_json: gives something storable for its value.
            custom_from_json: gives the value back for that.
            validator: says whether a value may be the attribute's; see `add_validator`.

        Raises:
            AttributeError: there is no such attribute, or `super().__init__()` was not called.
            UnsupportedValueError: its value can't be stored, and there is no `custom_to_json`.
            ValueError: it is a nested module, or the name is the library's own.
        """
        own = inside(self)
        value = getattr(self, attr_name)
        if attr_name in (VERSION, INSIDE):
            raise ValueError(f"{attr_name}: the name is the library's own")
        if attr_name not in own.attributes and isinstance(value, Modular):
            raise ValueError(f"{attr_name}: is a nested module, and state by that")
        if custom_to_json is None and not holds(value):
            own_copy(codec_of(self), value, (attr_name,))
        if own.binding is not None:
            own.binding.restructure(self)
        own.attributes[attr_name] = Attribute(custom_to_json, custom_from_json)
        own.order.pop(attr_name, None)
        own.validators[attr_name] = [] if validator is None else [validator]
        if own.binding is not None:
            own.binding.changed()

    def add_validator(self, attr_name: str, validator: Callable[[Any], object]) -> None:
        """Let `validator` say whether a value may be the attribute's.

        It is asked when the attribute is assigned, loaded and saved, and, once the module is bound, after
        changes inside it, which are taken back if it gives something false or raises. It may not assign
        the attribute itself. The change waits for it, while no lock of the file is held.

        Raises:
            AttributeError: the attribute is no part of the state.
            InvalidStateError: it refuses the value that the attribute has.
        """
        own = inside(self)
        if attr_name not in own.attributes and attr_name not in nested(self):
            raise AttributeError(f"{type(self).__name__}: {attr_name!r} is not registered")
        found = own.validators.setdefault(attr_name, [])
        found.append(validator)
        try:
            validate(self, attr_name, getattr(self, attr_name), (attr_name,))
        except InvalidStateError:
            found.remove(validator)
            raise

    def state_dict(self) -> dict[str, Any]:
        """Give the state, nested modules first: plain data that shares nothing with the module.

        Raises:
            UnsupportedValueError: a value can't be stored.
            InvalidStateError: a validator refuses a value.
            TypeError: an attribute that is not registered mixes modules with other values.
            ValueError: a module contains itself.
        """
        return dump(self)

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:  # noqa: FBT001, FBT002 - as AgentScope has it
        """Take a state, or, if that fails, nothing of it.

        Args:
            state_dict: what `state_dict` gave, perhaps that of an older version; it is copied, and what
                it has beyond the module's attributes is left out.
            strict: whether all that the module has must be there, in nested modules too.

        Raises:
            AttributeNotFoundError: something is missing.
            InvalidStateError: it is no dict, has another shape, or is refused by a validator or a migration.
        """
        plan = Plan(self, state_dict, strict=strict)
        binding = inside(self).binding
        if binding is not None:
            binding.load(plan)
            return
        with listeners.watching(plan.touched):
            plan.apply()

    # Versions

    @classmethod
    def register_migration(cls, from_version: Version, to_version: Version, migrate: Migrate) -> None:
        """Say how a state of one version becomes one of another.

        Args:
            from_version: `None` stands for a state without a version.
            to_version: on loading, the shortest chain of steps to `state_version` is taken.
            migrate: gets the module's own part of the state and changes it, or gives another.
        """
        migrations.add(cls, from_version, to_version, migrate)

    def upcast(self, state: dict[str, Any]) -> dict[str, Any]:
        """Give a state in today's shape, nested modules' parts too; nothing is loaded.

        Raises:
            InvalidStateError: there is no migration, or it fails.
        """
        return migrations.upcast(self, state)

    # Listeners

    def add_state_listener(self, name: str, listener: Listener) -> None:
        """Let `listener(name, old, new)` hear of changes, after they were committed or made.

        It gets copies of its own, in the form that they have in the state; `MISSING` stands for none.
        What it raises is logged. Changes that it makes are told after those that are being told. Whoever
        made the change waits for it, though what it hears of stands, and no lock is held. Of what is changed
        inside a nested module that is not bound, only listeners added in the same thread hear.

        Args:
            name: of an attribute; `"memory.content"` or `"workers.0.count"` inside nested modules; `"*"` for
                all that changes in this module and those in it, `"memory.*"` in that one.
            listener: a plain function.

        Raises:
            TypeError: it is a coroutine function, or can't be called.
        """
        listeners.add(self, name, listener)

    def remove_state_listener(self, name: str, listener: Listener) -> None:
        """Take a listener out again.

        Raises:
            ValueError: it is not there.
        """
        listeners.remove(self, name, listener)

    def _heard(self, names: Iterable[str]) -> contextlib.AbstractContextManager[None]:
        if inside(self).binding is not None:
            return contextlib.nullcontext()
        return listeners.watching((self, name) for name in names)

    # The journal

    @property
    def bound(self) -> Session | None:
        """The plain session that the module, or the tree in which it is, is bound to."""
        own: Inside | None = vars(self).get(INSIDE)
        return None if own is None or own.binding is None else own.binding.session

    def bind(self, session: Any, *, load: bool = True) -> None:
        """Journal each change from now on; the state that the session has is loaded, or else this one saved.

        What a migration, or attributes that are missing there, make of it is journaled as a round.

        If there are agents in the module, replies that were begun there and never came to an end, since their
        process was killed, are marked by notes `reply.unfinished` and `tool.unfinished`, once. This waits for
        the file, in an event loop too.

        Args:
            session: an `eventstate.Session` or `eventstate.aio.Session` without a model; with the latter,
                too, an assignment commits before it returns.
            load: `False` to save the module's state in place of the session's.

        Raises:
            AgentBusyError: an agent in it is replying; nothing has changed.
            InvalidStateError: it is bound already, or the state can't be loaded; nothing has changed.
            TypeError: the class has a `state_dict` of its own, or that is no session.
        """
        own = inside(self)
        for _, member in list(walk(self)):
            member._enter()  # noqa: SLF001 - a module, too; asked before anything is loaded into one
        if own.binding is not None:
            raise InvalidStateError(f"{type(self).__name__} is bound already, to {own.binding.session!r}")
        if type(self).own_state:
            raise TypeError(f"{type(self).__name__} has a state_dict of its own: it can't be bound by itself")
        binding = Binding(self, session)
        binding.take(load=load)
        marked = False
        try:
            for _, member in list(walk(self)):
                if isinstance(member, StateModule):
                    marked = member._begin(binding.session, marked=marked)  # noqa: SLF001 - a module, too
        except BaseException:
            binding.end()
            raise

    def _begin(self, session: Session, *, marked: bool) -> bool:  # noqa: ARG002 - for agents
        """Do what has to be done when the module was bound, alone or in a tree.

        Args:
            session: that it was bound to.
            marked: whether the session's unfinished replies are marked already.

        Returns:
            Whether they are now.
        """
        return marked

    def unbind(self) -> None:
        """Journal nothing more; containers become plain copies.

        Raises:
            InvalidStateError: it is not bound, or not the root of what is, or a round is open.
        """
        self._root("unbind").end()

    @contextlib.contextmanager
    def round(
        self, *, on_error: Literal["discard", "keep"] = "discard", **options: Unpack[CommitKeywords]
    ) -> Iterator[Self]:
        """Make one round of all changes in the block; see `Session.round`.

        Raises:
            InvalidStateError: the module is not bound, or a round is open.
            ConflictError: another writer moved the session; module and journal are what they were.
        """
        with self._binding().round(on_error=on_error, **options):
            yield self

    def flush(self) -> None:
        """Commit changes of what can't tell: inside sets and dataclasses, by a `custom_to_json`."""
        self._binding().changed()

    def reload(self) -> None:
        """Take the session's newest state, as after a `ConflictError`.

        Raises:
            InvalidStateError: a round is open, or the state can't be loaded, or something was erased and an
                attribute is not there any more, which would be written anew; nothing has changed.
        """
        self._root("reload").reload()

    def replay(self) -> Iterator[tuple[Round, dict[str, Any]]]:
        """Walk the rounds with the states of this module, in today's shape."""
        return upcast_rounds(self, self._binding())

    def history(self, attr: Any) -> list[AttributeChange]:
        """List the changes of an attribute round by round, under the name that it has today.

        Args:
            attr: a name, or a tuple of keys.
        """
        return changes_of(self, self._binding(), attr)

    def metadata(self, **settings: Any) -> StateMetadata:
        """Describe the state: size, checksum, times and tags of the session.

        Args:
            **settings: `category`, `tags` and `ttl_seconds`, in place of class attributes of these names.
        """
        from eventstate.agents.metadata import describe

        return describe(self, settings)

    def _binding(self) -> Binding:
        binding = inside(self).binding
        if binding is None:
            raise InvalidStateError(f"{type(self).__name__} is not bound to a session")
        return binding

    def _root(self, what: str) -> Binding:
        binding = self._binding()
        if binding.root is not self:
            raise InvalidStateError(f"{what}: {type(self).__name__} is not the module that was bound")
        return binding

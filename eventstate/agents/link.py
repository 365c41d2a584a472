"""A tree of modules and the newest state of a session's branch, kept the same."""
# ruff: noqa: SLF001 - a link stands between modules and a journal

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from eventstate.agents.listeners import tell
from eventstate.agents.loading import Plan
from eventstate.agents.news import check_changed, news_of
from eventstate.agents.shape import Modular, inside
from eventstate.agents.tree import Tree, bring, release
from eventstate.agents.turns import Turns
from eventstate.commits import CommitOptions
from eventstate.errors import AttributeNotFoundError, InvalidStateError
from eventstate.session import Session
from eventstate.values.live import LiveState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstate.agents.listeners import News
    from eventstate.rounds import Round
    from eventstate.values.delta import Edit
    from eventstate.values.paths import Path
    from eventstate.writer import Opened

STALE: Final = (
    "what this was a part of was taken back, or is bound no more: take the attribute anew from its module"
)


class Link:
    """What a `Binding` stands on: the committed state, the live one over it, and the modules in it.

    Args:
        root: the module at the top.
        session: an `eventstate.Session`, or an `eventstate.aio.Session`.

    Attributes:
        root: the module at the top.
        session: the plain session.
        aio: the asyncio session, if it was one.
        codec: the store's.
        version: the version that the committed state has.
        collecting: whether changes wait to be committed together.
        turns: whose reply or observation it is, of the agents in the tree, that changes are collected for.
    """

    def __init__(self, root: Modular, session: Any) -> None:
        plain = getattr(session, "plain", session)
        if not isinstance(plain, Session):
            raise TypeError(f"a module is bound to a session, not to {session!r}")
        if plain._model is not None:
            raise InvalidStateError(f"{plain!r} has a model: a module has validators in its place")
        self.root = root
        self.session: Session = plain
        self.aio: Any = None if plain is session else session
        self.codec = plain._journal.codec
        self.version = 0
        self.collecting = False
        self.turns = Turns()
        self._undo: list[Callable[[], None]] = []  # takes back what the live state knows nothing of
        self._dirty = False  # whether modules or containers came or went
        self._quiet = False  # whether changes of the live state are the link's own
        self._committed: dict[str, Any] = {}
        self._live = LiveState(self._committed, self.codec)
        self._tree = Tree(self, self._live, [])
        self._known: dict[int, Modular] = {}  # the modules that were committed
        self._sources: dict[int, Any] = {}  # their states

    def changed(self) -> None:
        """Take note that something was changed."""
        raise NotImplementedError

    def container_changed(self, container: Any, before: Any) -> None:
        """Take note that a container's elements are others now."""
        self._undo.append(lambda: container._refill(before))
        self._dirty = True
        self.changed()

    def path_of(self, module: Modular) -> Path:
        """Give where a module stands in the tree."""
        member = self._tree.members.get(id(module))
        return () if member is None else member.path

    def take(self, *, load: bool) -> None:
        """Begin with the session's newest state, or, without one or without `load`, with that of the module.

        Raises:
            InvalidStateError: the state is not what the module can load; nothing has changed.
        """
        begun = inside(self.root).binding is self
        if begun:
            self._take_back()
            self._hand_out()
        before = self._live, self._committed, self._tree, self.version
        state, erased = self._newest()
        kind = "migrate" if load and state is not None else "save"
        self._committed = {} if state is None else state
        try:
            if kind == "migrate":
                self._undo += self._plan(state, erased=begun and erased).apply()
            self._live = LiveState(self._committed, self.codec, self.changed)
            self._dirty = True
            edits = self.edits()
            news = self._news()
            if edits or state is None:
                self._written(self._write(kind, CommitOptions(), edits))
            self._settle()
        except BaseException:
            self._live, self._committed, self._tree, self.version = before
            self._take_back()
            if begun:
                self._hand_out()
            raise
        tell(news)

    def _newest(self) -> tuple[Any, bool]:
        """Go to the branch's newest version; give its latest state, which is `None` if there is none.

        The other is whether something was erased from it since the version before.
        """
        writer = self.session._writer
        opened = writer.open()
        try:
            erased = self._has_erased(opened)
            named = opened.head is not None and not opened.deleted and self.session.latest is not None
            self.version = opened.version
            return self.codec.copy(opened.latest) if named else None, erased
        finally:
            writer.close(opened)

    def _plan(self, state: Any, *, erased: bool) -> Plan:
        """Plan to load a state; after an erasure all has to be in it: what is not may be what was erased.

        Raises:
            InvalidStateError: it can't be loaded.
        """
        try:
            return Plan(self.root, state, strict=erased, exact=True, codec=self.codec)
        except AttributeNotFoundError as error:
            raise InvalidStateError(
                f"{error.args[0]}, and something was erased:"
                " unbind the module, give the attribute another value, bind it again"
            ) from error

    def _has_erased(self, opened: Opened) -> bool:
        """Say whether something was erased from the branch since the committed state was read."""
        head = opened.head
        return (
            head is not None
            and 0 < self.version < opened.version
            and self.session._journal.reader.erased(head.branch, self.version, opened.version)
        )

    def edits(self) -> list[Edit]:
        """Give what leads from the committed state to the modules' present one.

        Raises:
            InvalidStateError: a validator refuses a value.
            UnsupportedValueError: a value can't be stored.
            ValueError: a module stands at two places, or belongs to another bound tree.
        """
        with self._unheard():
            if self._dirty or not self._tree.complete or self._has_unseen():
                self._tree = Tree(self, self._live, self._undo).align(self.root)
                self._dirty = False
            else:
                for swept in self._tree.swept:
                    bring(swept, self.codec)
            check_changed(self._tree)
            return self._live.edits()

    def _has_unseen(self) -> bool:
        """Say whether a container of modules came into being without telling."""
        for module, _ in self._tree.members.values():
            for value in vars(module).values():
                if type(value) is list or type(value) is dict:
                    children = value.values() if type(value) is dict else value
                    if isinstance(next(iter(children), None), Modular) and not type(module).own_state:
                        return True
        return False

    def _write(self, kind: str, options: CommitOptions, edits: list[Edit]) -> Round:
        return self.session._writer.write(kind, options, self.version, edits)

    def _written(self, turn: Round) -> None:
        self.version = max(self.version, turn.version)

    def _news(self) -> list[News]:
        return news_of(self._tree, self._sources)

    def _settle(self) -> None:
        self._let_go(self._accept(None))

    def _accept(self, back: list[Callable[[], None]] | None) -> list[Modular]:
        """Take what is for what was committed; give the modules that are not in the tree any more."""
        self._live.settle(back)
        self._undo = []
        gone = [module for key, module in self._known.items() if key not in self._tree.members]
        self._note_members()
        return gone

    def _let_go(self, gone: list[Modular]) -> None:
        for module in gone:
            if id(module) not in self._tree.members and inside(module).binding is self:
                release(module)

    def _take_back(self) -> None:
        """Make what the modules consist of what was committed."""
        with self._unheard():
            for step in reversed(self._undo):
                step()
        self._undo = []
        self._dirty = False

    def _hand_out(self) -> None:
        """Give the modules the values of the committed state, from a new live one."""
        self._live.close(STALE)
        self._live = LiveState(self._committed, self.codec, self.changed)
        with self._unheard():
            self._tree = Tree(self, self._live, []).hand_out(self.root)
        self._note_members()

    def _note_members(self) -> None:
        self._known = {key: member.module for key, member in self._tree.members.items()}
        nodes = ((key, inside(module).node) for key, module in self._known.items())
        self._sources = {key: node._source for key, node in nodes if node is not None}

    @contextlib.contextmanager
    def _unheard(self) -> Iterator[None]:
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

"""A tree of modules bound to a session: what changes in the one is journaled in the other, or in neither."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Unpack

from eventstate.agents.link import STALE, Link
from eventstate.agents.listeners import LOGGER, tell
from eventstate.agents.loading import put
from eventstate.agents.shape import holds, inside, is_computed, is_nest, validate
from eventstate.agents.tree import release
from eventstate.checks import check_on_error
from eventstate.commits import CommitKeywords, CommitOptions
from eventstate.ending import ended
from eventstate.errors import EventStateError, InvalidStateError
from eventstate.values.delta import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstate.agents.listeners import News
    from eventstate.agents.loading import Plan
    from eventstate.agents.shape import Modular
    from eventstate.rounds import Round


class _Flight(NamedTuple):
    """A commit on its way, and what takes it back."""

    loop: asyncio.AbstractEventLoop
    undo: list[Callable[[], None]]
    back: list[Callable[[], None]]


class Binding(Link):
    """Hears of each change in a tree of modules, and commits it, at once or together with others.

    Whatever fails leaves modules and journal as they were. If an event loop is closed while a commit is on
    its way, the session may be further on than the modules: `reload` brings them to it.
    """

    _flight: _Flight | None = None
    _stirred = False
    """Whether something was changed since it began."""

    # What modules tell

    def assign(self, module: Modular, name: str, value: Any) -> None:
        """Set an attribute that is state, or becomes or was so."""
        own = inside(module)
        how = own.attributes.get(name)
        validate(module, name, value, (*self.path_of(module), name))
        if how is None:
            self.restructure(module)
            if is_nest(value):
                own.order.setdefault(name)
            put(module, name, value, self._undo)
        elif how.to_json is not None or is_computed(module, name):
            put(module, name, value, self._undo)
        elif holds(value) or holds(vars(module).get(name, MISSING)):
            put(module, name, value, self._undo)
            self._dirty = True
        else:
            if own.node is None:
                raise InvalidStateError(f"{name}: {STALE}")
            with self._unheard():
                own.node[name] = value
                object.__setattr__(module, name, own.node[name])
        self.changed()

    def restructure(self, module: Modular) -> None:
        """Take note that attributes of a module are about to be registered or deleted."""
        own = inside(module)
        attributes, order = dict(own.attributes), dict(own.order)
        checks = {name: list(found) for name, found in own.validators.items()}

        def undo() -> None:
            own.attributes, own.order, own.validators = attributes, order, checks

        self._undo.append(undo)
        self._dirty = True

    def deleting(self, module: Modular, name: str) -> None:
        """Take note that an attribute of the instance is about to be deleted."""
        self.restructure(module)
        old = vars(module)[name]
        self._undo.append(lambda: vars(module).__setitem__(name, old))

    def load(self, plan: Plan) -> None:
        """Carry a plan out, as one commit."""
        with self._unheard():
            self._undo += plan.apply()
        self._dirty = True
        self.changed("load")

    def changed(self, kind: str = "assign") -> None:
        """Commit what was changed, unless changes are collected."""
        if self._quiet:
            return
        self._stirred = True
        if self.collecting:
            return
        news: list[News] = []
        with self._all_or_nothing():
            edits = self.edits()
            if edits:
                news = self._news()
                self._written(self._write(kind, CommitOptions(), edits))
            if edits or self._undo:
                self._settle()
        tell(news)

    # Commits

    def begin(self) -> None:
        """Collect changes from here on, until `commit` or `discard`.

        Raises:
            InvalidStateError: they are collected already.
        """
        if self.collecting:
            raise InvalidStateError(f"{self.session!r}: a round of the bound module is open already")
        self.changed()  # what could not tell so far comes before
        self.collecting = True

    def commit(self, kind: str, **options: Unpack[CommitKeywords]) -> Round:
        """Commit what was collected, as a round; if that fails, all is as it was committed.

        A `commit_id` that was used before gives that commit's round, and what was collected is discarded.

        Raises:
            ConflictError: another writer moved the session.
        """
        self._check_landed("committed")
        with self._all_or_nothing():
            checked = self.checked(options)
            edits = self.edits()
            news = self._news()
            turn = self._write(kind, checked, edits)
            if edits and turn.version <= self.version:
                self.discard()
                return turn
            self._written(turn)
            self._settle()
            self.collecting = False
        tell(news)
        return turn

    async def acommit(self, kind: str, **options: Unpack[CommitKeywords]) -> Round:
        """Like `commit`, through the asyncio session if there is one; changes made meanwhile come after it.

        Once begun, the commit is brought to its end; a cancellation goes on after that.
        """
        if self.aio is None:
            return self.commit(kind, **options)
        self._check_landed("committed")
        with self._all_or_nothing():
            checked = self.checked(options)
            edits = self.edits()
            news = self._news()
        back: list[Callable[[], None]] = []
        flight = _Flight(asyncio.get_running_loop(), self._undo, back)
        gone = self._accept(back)
        self._flight, self._stirred, self.collecting = flight, False, True
        try:
            writing = asyncio.ensure_future(self.aio.write(kind, checked, self.version, edits))
            cancelled = await ended(writing)
            turn: Round = writing.result()
        except BaseException:
            if self._flight is flight:  # it is not if the loop was closed, and somebody saw that first
                self._fall_back(flight)
            raise
        if edits and turn.version <= self.version:
            self._fall_back(flight)
        else:
            self._flight, self.collecting = None, False
            self._written(turn)
            self._let_go(gone)
            tell(news)
            if self._stirred:
                self._commit_rest()
        if cancelled is not None:
            raise cancelled
        return turn

    def _commit_rest(self) -> None:
        """Commit what was changed while a commit was on its way; that stands, whatever becomes of this."""
        try:
            self.changed()
        except Exception:  # noqa: BLE001 - it has taken back what it could not commit
            LOGGER.exception("%r: what was changed during a commit is lost", self.session)

    def _fall_back(self, flight: _Flight) -> None:
        """Discard what was on its way, and what came after it."""
        self._flight = None
        self._undo = flight.undo + self._undo
        for step in reversed(flight.back):
            step()
        self.discard()

    def discard(self) -> None:
        """Make everything what was committed; the collecting ends.

        References to containers that were taken before refuse to be changed after it.
        """
        self._check_landed("discarded")  # which may discard it all itself
        self.collecting = False
        self._take_back()
        self._hand_out()

    @contextlib.contextmanager
    def round(
        self, *, on_error: Literal["discard", "keep"] = "discard", **options: Unpack[CommitKeywords]
    ) -> Iterator[None]:
        """Make one round of the changes in the block; see `Session.round`."""
        check_on_error(on_error)
        self.checked(options)
        self.begin()
        try:
            yield
        except BaseException as error:
            if on_error == "keep":
                try:
                    self.commit("interrupted", **options)
                except EventStateError as failure:  # a cancellation has to go on as one
                    error.add_note(f"what was done could not be kept: {failure}")
            else:
                self.discard()
            raise
        self.commit("round", **options)

    def reload(self) -> None:
        """Take the session's newest state.

        Raises:
            InvalidStateError: a round is open, or the state is not what the module can load.
        """
        self._check_over("taken anew")
        self.take(load=True)

    def end(self) -> None:
        """Let all modules go; their values stay, as plain ones.

        Raises:
            InvalidStateError: a round is open.
        """
        self._check_over("unbound")
        for module, _ in self._tree.members.values():
            release(module)
        self._live.close(STALE)

    def checked(self, options: CommitKeywords) -> CommitOptions:
        """Give the options of a commit.

        Raises:
            ValueError: the round is earlier than the latest, and so would not be what the module is.
        """
        checked = CommitOptions(**options)
        latest = None if checked.round_id is None else self.session.latest
        if latest is not None and checked.round_id is not None and checked.round_id < latest.id:
            raise ValueError(
                f"a round {checked.round_id} would not be what the module is: {latest.id} is later"
            )
        return checked

    def _check_over(self, what: str) -> None:
        if self._flight is not None:
            self._check_landed(what)
        if self.collecting:
            raise InvalidStateError(f"{self.session!r}: the module can't be {what} while a round is open")

    def _check_landed(self, what: str) -> None:
        flight = self._flight
        if flight is None:
            return
        if not flight.loop.is_closed():
            raise InvalidStateError(f"{self.session!r}: nothing can be {what} while a commit is on its way")
        self._fall_back(flight)

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.discard()
            raise

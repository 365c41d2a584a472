"""How what another program kept becomes rounds of sessions: whole, and again only what is new.

A round is a commit of the kind `import` by the actor `agentscope`; its metadata tell the source, the key in
it, and the digest of its bytes. So a round that is there already is passed over, an import that was
interrupted goes on where it stopped, and what changed in the source since becomes a new commit of the same
round. Rounds that the source has no more stay. A session that something else wrote to since is left as it
is, unless that is forced.
"""
# ruff: noqa: SLF001 - a commit of its own kind is to be had behind a session's face alone

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstate.checks import check_round, check_text
from eventstate.commits import CommitOptions
from eventstate.errors import ConflictError, EncryptionError, SessionDeletedError
from eventstate.importers.documents import DocumentError, parse_state
from eventstate.importers.names import Names
from eventstate.importers.sources import Found, Kind, Options, Source
from eventstate.services.life import life_of
from eventstate.values.delta import diff

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from eventstate.importers.entries import Payload, Read
    from eventstate.rounds import Round
    from eventstate.store import StateStore

KIND: Final = "import"
ACTOR: Final = "agentscope"

_DIGEST_SIZE: Final = 32
_ID_SIZE: Final = 12


class Problem(NamedTuple):
    """Something that was not brought in."""

    source: str
    """The file, by the path that was given."""
    key: str
    """In a dump, the key; else the file's name without its ending."""
    field: str | None
    """The field of the hash, if it is one field's problem."""
    message: str

    def __str__(self) -> str:
        where = f"{self.source}, {self.key!r}" + ("" if self.field is None else f", field {self.field!r}")
        return f"{where}: {self.message}"


@dataclass(slots=True)
class ImportResult:
    """What was brought in."""

    sessions: int = 0
    """That the sources hold."""
    rounds: int = 0
    """That they have, of those that were not refused."""
    added: int = 0
    """How many of these were new, or changed."""
    refused: int = 0
    """Sessions that were left as they were, or not brought in to the end, as others wrote to them."""
    skipped: int = 0
    """Damaged rounds that were left out of others."""
    ignored: int = 0
    """Keys and files that are no sessions."""
    ambiguous: list[str] = field(default_factory=list)
    """Keys in which the user's name could end elsewhere."""
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no session was refused."""
        return not self.refused


class _Told(NamedTuple):
    """A round as the source tells it."""

    number: int
    read: Read
    digest: str


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """A session of which nothing is written."""


def import_sessions(
    store: StateStore,
    sources: Iterable[str | os.PathLike[str]],
    *,
    kind: Kind | None = None,
    users: Iterable[str] = (),
    prefix: str | None = None,
    database: int | None = None,
    force: bool = False,
    skip_damaged: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImportResult:
    """Bring sessions of AgentScope into a store.

    Before anything is written, all dumps are read to their ends. A session with a damaged round is refused
    as a whole.

    Args:
        store: where they go.
        sources: folders of JSONSession, files of it, and dumps of Redis, as RDB files or JSON: hashes of
            agentscope-runtime's RedisStateService and strings of AgentScope's RedisSession.
        kind: of what kind the files are; found by looking if `None`.
        users: ids of users, where names of files and keys could be read in several ways. A file
            without one of them is a session of the user `""`.
        prefix: what the keys of RedisSession start with; anything if `None`.
        database: the only database that is read of dumps; all if `None`.
        force: write to sessions too that something else wrote to since they were brought in.
        skip_damaged: leave damaged rounds out, instead of their sessions.
        progress: called with the number of sessions done and of all.

    Raises:
        ImportFailedError: a dump is damaged, or a source none of those above; nothing was written, unless
            it changed meanwhile.
        OSError: a dump or a folder can't be read.
    """
    options = Options(
        Names((check_text(user, "a user") for user in users), prefix),
        kind,
        database,
        str(store._journal.connection.path),
    )
    read = [Source(Path(source), options) for source in sources]
    return _Import(store, force=force, skip_damaged=skip_damaged).run(read, progress or (lambda *_: None))


class _Import:
    def __init__(self, store: StateStore, *, force: bool, skip_damaged: bool) -> None:
        self._store = store
        self._force = force
        self._skip_damaged = skip_damaged
        self._result = ImportResult()

    def run(self, sources: list[Source], progress: Callable[[int, int], None]) -> ImportResult:
        result = self._result
        places: dict[tuple[str, str], list[str]] = {}
        for source in sources:
            for found in source.sessions(check=True):
                result.sessions += 1
                places.setdefault(found.named.names, []).append(f"{found.source}, {found.key!r}")
                if found.named.ambiguous:
                    result.ambiguous.append(found.key)
            result.ignored += source.ignored
        done = 0
        for source in sources:
            for found in source.sessions(check=False):
                if found.named.names not in places:  # a file that came while others were read
                    continue
                self._bring(found, places[found.named.names])
                done += 1
                progress(done, result.sessions)
        return result

    def _bring(self, found: Found, places: list[str]) -> None:
        try:
            told = self._told(found, places)
            self._result.added += _Session(self._store, found, force=self._force).write(told)
        except (_Refused, DocumentError, ConflictError, SessionDeletedError, EncryptionError) as error:
            self._result.refused += 1
            if str(error):
                self._tell(found, None, str(error))
        else:
            self._result.rounds += len(told)

    def _tell(self, found: Found, name: str | None, message: str) -> None:
        self._result.problems.append(Problem(found.source, found.key, name, message))

    def _told(self, found: Found, places: list[str]) -> list[_Told]:
        """Give the rounds that the source tells, in ascending order.

        Raises:
            _Refused: some are damaged, and it was told which, or the session can't be brought in at all.
        """
        if found.fault is not None:
            raise _Refused(found.fault)
        if len(places) > 1:
            raise _Refused(f"one session in several places: {'; '.join(places)}")
        good, damaged = [], 0
        for payload in found.payloads:
            try:
                good.append(_checked(payload))
            except DocumentError as error:
                self._tell(found, payload.field, str(error))
                damaged += 1
        if damaged and not self._skip_damaged:
            raise _Refused
        self._result.skipped += damaged
        return sorted(good, key=lambda item: item.number)


def _checked(payload: Payload) -> _Told:
    """Look whether a payload is a round.

    Raises:
        DocumentError: it is none, or its state can't be stored.
    """
    number = 1 if payload.field is None else _number(payload.field)
    if payload.read is None:
        raise DocumentError("not a string")
    data = payload.read()
    parse_state(data)
    return _Told(number, payload.read, _digest(data))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=_DIGEST_SIZE).hexdigest()


def _number(name: str) -> int:
    """Read a round's number as a hash's field.

    Raises:
        DocumentError: it is none.
    """
    if not re.fullmatch("0|[1-9][0-9]{0,18}", name):  # the services read 01 and 1 as two
        raise DocumentError("not the number of a round")
    try:
        return check_round(int(name))
    except ValueError as error:
        raise DocumentError(str(error)) from error


class _Session:
    """A session that something is brought into."""

    def __init__(self, store: StateStore, found: Found, *, force: bool) -> None:
        self._store = store
        self._session = store.session(*found.named.names)
        self._found = found
        self._force = force

    def write(self, told: list[_Told]) -> int:
        """Write the rounds that are not there yet, and say how many.

        Raises:
            _Refused: something else wrote to the session, or the source changed just now.
            DocumentError: the source can't be read any more.
            ConflictError: something else wrote to the session just now.
        """
        session = self._session
        version = session.version
        there = {turn.id: turn for turn in session.rounds()}
        new = [item for item in told if not self._is(there.get(item.number), item)]
        if new and life_of(self._store, self._found.named.names).session.branch != session.branch:
            raise _Refused(f"{self._title} was deleted since: nothing would be seen there")
        if new and not self._force and not self._untouched(version, there):
            raise _Refused(f"{self._title} was changed since, or was not brought in from here")
        for item in new:
            version = self._commit(item, there.get(item.number), version).version
        return len(new)

    @property
    def _title(self) -> str:
        return f"session {self._session.user_id!r}, {self._session.session_id!r}"

    def _brought(self, turn: Round) -> bool:
        """Say whether a round came from this source's key."""
        origin = _origin(self._found)
        return turn.kind == KIND and {name: turn.metadata.get(name) for name in origin} == origin

    def _is(self, turn: Round | None, item: _Told) -> bool:
        return turn is not None and self._brought(turn) and turn.metadata.get("digest") == item.digest

    def _untouched(self, version: int, there: dict[int, Round]) -> bool:
        """Say whether nothing but notes came after what was brought in."""
        last = max(there.values(), key=lambda turn: turn.position, default=None)
        if last is not None and not self._brought(last):
            return False
        left = 0 if last is None else last.version
        return version - left == sum(1 for _ in self._session.notes(after=left))

    def _commit(self, item: _Told, replaced: Round | None, version: int) -> Round:
        found = self._found
        data = item.read()
        if _digest(data) != item.digest:
            raise _Refused("changed while it was read")
        state = parse_state(data)
        # What it replaces is part of the id: a source may come back to what it was.
        parts = [_origin(found), item.number, item.digest, replaced and replaced.hash]
        codec = self._session._journal.codec
        options = CommitOptions(
            round_id=item.number,
            expected_version=version,
            commit_id=hashlib.blake2b(codec.encode(parts), digest_size=_ID_SIZE).hexdigest(),
            actor=ACTOR,
            metadata=_origin(found) | {"source": Path(found.source).name, "digest": item.digest},
        )
        return self._session._writer.commit(KIND, options, lambda opened: diff(opened.state, state, codec))


def _origin(found: Found) -> dict[str, Any]:
    """Give what says of two rounds that they are of one session of one source."""
    return {"kind": found.named.kind, "database": found.database, "key": found.key}

"""Recorded chats: how the lines of a transcript are read, and how they become rounds of sessions.

A line is a JSON object: a whole conversation, `{"user_id", "session_id", "messages", ...}`, or one
message by itself. Messages are in the OpenAI format: `role`, `content`, `tool_calls`, `tool_call_id`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventstate.checks import check_text
from eventstate.errors import ConflictError, DivergedError, TranscriptError, UnsupportedValueError
from eventstate.values.codec import Codec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eventstate.rounds import Round
    from eventstate.session import Session
    from eventstate.store import StateStore

_CODEC: Final = Codec()
_DIGEST_SIZE: Final = 12


class Conversation(NamedTuple):
    """What a line of a transcript says."""

    user_id: str
    session_id: str
    messages: list[dict[str, Any]]
    metadata: dict[str, Any]
    """The other fields of the line."""
    whole: bool
    """False if the line is one message of a conversation that goes on over several lines."""


def parse(line: bytes, user_id: str | None = None, session_id: str | None = None) -> Conversation:
    """Read a line of a transcript.

    Args:
        line: JSON in UTF-8.
        user_id: whose session it is, for a line that does not say so itself.
        session_id: the session's name, likewise; `"default"` if `None`.

    Raises:
        TranscriptError: it is not JSON, has no messages, or does not say whose they are.
    """
    try:
        data = json.loads(line.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise TranscriptError(f"not JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise TranscriptError(f"not JSON: {error}") from error
    if type(data) is not dict:
        raise TranscriptError("not a JSON object")
    if whole := "messages" in data or "role" not in data:
        messages = data.pop("messages", None)
        if type(messages) is not list or not messages:
            raise TranscriptError("no messages")
        user_id, session_id = data.pop("user_id", user_id), data.pop("session_id", session_id)
    elif user_id is None:
        raise TranscriptError("no messages; it is one message, and it is not said whose")
    else:
        messages, data = [data], {}
    for number, message in enumerate(messages, 1):
        _check_message(message, f"message {number}: " if whole else "")
    if user_id is None:
        raise TranscriptError("no user_id")
    try:
        names = (
            check_text(user_id, "user_id"),
            check_text("default" if session_id is None else session_id, "session_id"),
        )
    except (TypeError, ValueError) as error:
        raise TranscriptError(str(error)) from error
    return Conversation(*names, messages, data, whole)


def _check_message(message: Any, title: str) -> None:
    if type(message) is not dict:
        raise TranscriptError(f"{title}not a JSON object")
    if "role" not in message:
        raise TranscriptError(f"{title}no role")
    try:
        check_text(message["role"], "role")
    except (TypeError, ValueError) as error:
        raise TranscriptError(f"{title}{error}") from error


def add_message(state: dict[str, Any], message: dict[str, Any]) -> None:
    """Bring the state of a conversation, live or plain, to its next message.

    The state has `messages`, `turn` (how many they are), `last_role`, `pending_tool_calls` (the ids of
    the calls that no tool has answered yet) and `tool_usage` (how often each tool was called).
    """
    state.setdefault("messages", []).append(message)
    state["turn"] = state.get("turn", 0) + 1
    state["last_role"] = message["role"]
    pending = state.setdefault("pending_tool_calls", [])
    usage = state.setdefault("tool_usage", {})
    for call_id, name in _tool_calls(message):
        if call_id is not None:
            pending.append(call_id)
        if name is not None:
            usage[name] = usage.get(name, 0) + 1
    if message["role"] == "tool" and message.get("tool_call_id") in pending:
        pending.remove(message["tool_call_id"])


def _tool_calls(message: dict[str, Any]) -> Iterable[tuple[str | None, str | None]]:
    """Walk the id and the tool's name of each call; what has another shape than usual is no call."""
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            function = call.get("function")
            name = function.get("name") if isinstance(function, dict) else None
            call_id = call.get("id")
            yield (
                call_id if isinstance(call_id, str) else None,
                name if isinstance(name, str) else None,
            )


class Recording:
    """A conversation on its way into a session, one round a message; the actor is the message's role.

    Each message is a commit whose id is a digest of the message and all before it. So what the
    session holds already is passed over, whoever recorded it, even if it was rolled back since; a
    conversation that has grown goes on where it ended; and one that differs is refused.

    Args:
        session: where it goes.
        metadata: what is known of the conversation; it goes into the first round.
    """

    def __init__(self, session: Session, metadata: dict[str, Any] | None = None) -> None:
        self._session = session
        self._metadata = metadata
        self._count = 0
        self._digest = b""
        self._last: Round | None = None

    def add(self, message: dict[str, Any]) -> bool:
        """Record the next message, unless it is there: tell whether it was new.

        Raises:
            DivergedError: the session went on otherwise.
            TranscriptError: the message can't be stored.
        """
        before = self._session.version
        try:
            digest = hashlib.blake2b(self._digest + _CODEC.encode(message), digest_size=_DIGEST_SIZE).digest()
            turn = self._session.update(
                lambda state: add_message(state, message),
                actor=message["role"],
                metadata=self._metadata if self._last is None else None,
                commit_id=digest.hex(),
                expected_version=0 if self._last is None else self._last.version,
            )
        except UnsupportedValueError as error:
            raise TranscriptError(f"message {self._count + 1}: {error}") from error
        except ConflictError as error:
            raise DivergedError(self._difference()) from error
        self._digest, self._last = digest, turn
        self._count += 1
        return turn.version > before

    def _difference(self) -> str:
        where = f"session {self._session.user_id!r}, {self._session.session_id!r}"
        start = 0 if self._last is None else self._last.id + 1
        other = next(self._session.rounds(start, limit=1), None)
        if other is None:
            return f"message {self._count + 1} is new, but {where} was changed since it was recorded"
        return f"message {self._count + 1} is not what {where} holds there, in round {other.id}"


def record(
    session: Session, messages: Iterable[dict[str, Any]], *, metadata: dict[str, Any] | None = None
) -> int:
    """Record a conversation, one round a message; what is there already is passed over.

    Args:
        session: where it goes.
        messages: the conversation from its start; each a dict with a `role`.
        metadata: what is known of the conversation; it goes into the first round.

    Returns:
        How many messages were new.

    Raises:
        DivergedError: the session went on otherwise; nothing of this conversation was added.
        TranscriptError: a message can't be stored; those before it were.
    """
    recording = Recording(session, metadata)
    new = 0
    for number, message in enumerate(messages, 1):
        _check_message(message, f"message {number}: ")
        new += recording.add(message)
    return new


class Recorder:
    """Records a transcript line by line; nothing is kept of a line once it is done.

    Args:
        store: where the sessions are.
        user_id: whose the lines are that do not say so; a line that is one message needs it.
        session_id: the session of such lines; `"default"` if `None`.

    Attributes:
        sessions: whose lines were recorded: `(user_id, session_id)`.
        messages: how many messages they had.
        added: how many of these were new.
        refused: how many lines were not recorded.
    """

    def __init__(self, store: StateStore, user_id: str | None = None, session_id: str | None = None) -> None:
        self.sessions: set[tuple[str, str]] = set()
        self.messages = self.added = self.refused = 0
        self._store = store
        self._user_id = user_id
        self._session_id = session_id
        self._open: Recording | None = None  # of the lines that are one message each
        self._torn = False

    def line(self, line: bytes) -> None:
        """Record the next line; an empty one is passed over.

        Raises:
            TranscriptError: the line can't be read or recorded; the next ones can be tried.
        """
        try:
            if line.strip():
                self._record(parse(line, self._user_id, self._session_id))
        except TranscriptError:
            self.refused += 1
            raise

    def _record(self, conversation: Conversation) -> None:
        session = self._store.session(conversation.user_id, conversation.session_id)
        if conversation.whole:
            recording = Recording(session, conversation.metadata)
        elif self._torn:  # it was said once that this conversation is another one
            self.refused += 1
            return
        else:
            recording = self._open = self._open or Recording(session)
        try:
            for message in conversation.messages:
                self.added += recording.add(message)
        except DivergedError:
            self._torn = self._torn or not conversation.whole
            raise
        self.sessions.add((conversation.user_id, conversation.session_id))
        self.messages += len(conversation.messages)

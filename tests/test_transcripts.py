"""Chats become sessions: how lines are read, what a message does to the state, what a second run adds."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from eventstate import DivergedError, StateStore, TranscriptError
from eventstate.transcripts import Conversation, Recorder, Recording, add_message, parse, record
from tests.stores import packed


def call(*calls: tuple[str, str]) -> dict[str, Any]:
    """An assistant's message that calls tools: (id, name)."""
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": number, "type": "function", "function": {"name": name, "arguments": "{}"}}
            for number, name in calls
        ],
    }


def answer(number: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": number, "content": "found"}


def said(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": text}


CHAT = [
    said("Be kind.", "system"),
    said("Hello"),
    call(("c1", "search"), ("c2", "book")),
    answer("c1"),
    answer("c2"),
    call(("c3", "search")),
    answer("c3"),
    said("Done.", "assistant"),
]


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"


@pytest.fixture
def store() -> Iterator[StateStore]:
    with StateStore(":memory:") as opened:
        yield opened


def folded(messages: list[dict[str, Any]]) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for message in messages:
        add_message(state, message)
    return state


def contents(store: StateStore, user: str, session: str = "default") -> list[Any]:
    state = store.session(user, session).state()
    return [] if state is None else [message["content"] for message in state["messages"]]


# What a message does to the state


def test_the_state_of_a_conversation_tells_its_messages_turn_roles_and_tools() -> None:
    assert folded(CHAT) == {
        "messages": CHAT,
        "turn": 8,
        "last_role": "assistant",
        "pending_tool_calls": [],
        "tool_usage": {"search": 2, "book": 1},
    }


def test_a_tool_call_is_pending_from_its_message_to_its_answer() -> None:
    pending = [folded(CHAT[:count])["pending_tool_calls"] for count in range(1, len(CHAT) + 1)]
    assert pending == [[], [], ["c1", "c2"], ["c2"], [], ["c3"], [], []]


def test_only_a_tool_closes_a_call() -> None:
    state = folded([call(("c1", "search")), {"role": "user", "tool_call_id": "c1"}, answer("other")])
    assert state["pending_tool_calls"] == ["c1"]


@pytest.mark.parametrize(
    "calls",
    [
        None,
        7,
        "c1",
        {"id": "c1"},
        [None],
        [7],
        [{}],
        [{"id": 7, "function": {"name": 7}}],
        [{"function": "f"}],
    ],
)
def test_tool_calls_of_another_shape_are_kept_as_they_are_and_count_for_nothing(calls: Any) -> None:
    message = {"role": "assistant", "tool_calls": calls}
    state = folded([message])
    assert state["messages"] == [message]
    assert (state["pending_tool_calls"], state["tool_usage"]) == ([], {})


# How lines are read


def test_a_line_is_a_conversation_and_its_other_fields_are_metadata() -> None:
    text = line(user_id="alice", session_id="trip", reward=0.5, messages=[said("hi")], cost=None)
    assert parse(text) == Conversation(
        "alice", "trip", [said("hi")], {"reward": 0.5, "cost": None}, whole=True
    )


def test_a_line_is_a_message_of_the_session_that_was_named() -> None:
    text = line(role="user", content="hi", session_id="a field like any other")
    message = json.loads(text)
    assert parse(text, "alice", "trip") == Conversation("alice", "trip", [message], {}, whole=False)
    assert parse(text, "alice").session_id == "default"


def test_what_a_line_says_of_itself_is_worth_more_than_what_was_named() -> None:
    assert parse(line(user_id="alice", messages=[said("hi")]), "bob", "trip")[:2] == ("alice", "trip")
    assert parse(line(session_id="x", messages=[said("hi")]), "bob", "trip")[:2] == ("bob", "x")
    assert parse(line(user_id="alice", messages=[said("hi")]))[:2] == ("alice", "default")


def test_a_mark_of_byte_order_is_passed_over() -> None:
    assert parse(b"\xef\xbb\xbf" + line(user_id="alice", messages=[said("hi")])).user_id == "alice"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"{oops", "not JSON"),
        (b'{"user_id": "a", "messages": [{"role": "user", "content": "\xff"}]}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "no messages"),
        (line(user_id="a"), "no messages"),
        (line(user_id="a", messages=None), "no messages"),
        (line(user_id="a", messages={}), "no messages"),
        (line(user_id="a", messages=[]), "no messages"),
        (line(role="user", content="hi"), "no messages"),
        (line(messages=[said("hi")]), "no user_id"),
        (line(user_id=7, messages=[said("hi")]), "user_id is a string, not 7"),
        (line(user_id="\ud800", messages=[said("hi")]), "surrogate"),
        (line(user_id="a", session_id=0, messages=[said("hi")]), "session_id is a string, not 0"),
        (line(user_id="a", messages=[said("hi"), "hi"]), "message 2: not a JSON object"),
        (line(user_id="a", messages=[said("hi"), {"content": "hi"}]), "message 2: no role"),
        (line(user_id="a", messages=[{"role": None}]), "message 1: role is a string, not None"),
        (line(user_id="a", messages=[{"role": "\ud800"}]), "message 1: role"),
    ],
)
def test_a_line_that_is_no_conversation_says_why(text: bytes, complaint: str) -> None:
    with pytest.raises(TranscriptError, match=complaint):
        parse(text)


# How a conversation is recorded


def test_each_message_is_a_round_by_its_role(store: StateStore) -> None:
    session = store.session("alice")
    assert record(session, CHAT, metadata={"reward": 1.0}) == len(CHAT)
    turns = list(session.rounds())
    assert [turn.id for turn in turns] == [*range(1, len(CHAT) + 1)]
    assert [turn.actor for turn in turns] == [message["role"] for message in CHAT]
    assert [turn.metadata for turn in turns] == [{"reward": 1.0}] + [{}] * (len(CHAT) - 1)
    for turn, state in session.replay():
        assert packed(state) == packed(folded(CHAT[: turn.id]))


def test_recording_again_adds_nothing(store: StateStore) -> None:
    session = store.session("alice")
    record(session, CHAT)
    before = store.stats().commits
    assert record(session, CHAT) == 0
    assert record(session, CHAT[:3]) == 0
    assert store.stats().commits == before


def test_what_is_said_twice_is_recorded_twice(store: StateStore) -> None:
    session = store.session("alice")
    assert record(session, [said("again")] * 3) == 3
    assert session.state()["messages"] == [said("again")] * 3


def test_a_conversation_that_has_grown_adds_what_is_new(store: StateStore) -> None:
    session = store.session("alice")
    assert record(session, CHAT[:3]) == 3
    assert record(session, CHAT) == len(CHAT) - 3
    assert session.state() == folded(CHAT)


@pytest.mark.parametrize(
    "other", [said("Hallo"), {"content": "Hello", "role": "user"}, said("Hello") | {"n": 1}]
)
def test_another_conversation_in_the_same_session_is_refused_whole(
    store: StateStore, other: dict[str, Any]
) -> None:
    session = store.session("alice")
    record(session, CHAT)
    with pytest.raises(DivergedError, match=r"message 2 .* round 2"):
        record(session, [CHAT[0], other, *CHAT[2:], said("more")])
    assert session.version == session.rounds(reverse=True).__next__().version
    assert session.state() == folded(CHAT)


def test_what_differs_in_type_alone_is_another_conversation(store: StateStore) -> None:
    session = store.session("alice")
    record(session, [said("hi") | {"n": 1}])
    for value in (True, 1.0, "1"):
        with pytest.raises(DivergedError):
            record(session, [said("hi") | {"n": value}])


def test_a_session_that_something_else_wrote_is_left_alone(store: StateStore) -> None:
    session = store.session("alice")
    session.save({"messages": []})
    with pytest.raises(DivergedError, match=r"message 1 .* round 1"):
        record(session, CHAT)
    assert session.state() == {"messages": []}


def test_recording_again_after_a_rollback_leaves_it_rolled_back(store: StateStore) -> None:
    session = store.session("alice")
    record(session, CHAT)
    session.rollback(3)
    assert record(session, CHAT) == 0
    assert session.state() == folded(CHAT[:3])
    with pytest.raises(DivergedError, match=r"message 9"):
        record(session, [*CHAT, said("more")])
    assert session.state() == folded(CHAT[:3])


def test_two_who_record_the_same_conversation_at_once_record_it_once(store: StateStore) -> None:
    one, other = Recording(store.session("alice")), Recording(store.session("alice"))
    new = [recording.add(message) for message in CHAT for recording in (one, other)]
    assert new == [True, False] * len(CHAT)
    assert store.session("alice").state() == folded(CHAT)


def test_a_message_that_cannot_be_stored_is_named_and_those_before_it_stay(store: StateStore) -> None:
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    session = store.session("alice")
    with pytest.raises(TranscriptError, match=r"message 3: .*nested deeper"):
        record(session, [*CHAT[:2], said("hi") | {"extra": deep}])
    assert session.state() == folded(CHAT[:2])


def test_messages_are_checked_before_they_are_recorded(store: StateStore) -> None:
    with pytest.raises(TranscriptError, match=r"message 2: no role"):
        record(store.session("alice"), [said("hi"), {"content": "hi"}])


def test_a_message_costs_what_it_adds_however_long_the_conversation_is(store: StateStore) -> None:
    session = store.session("alice")
    sizes = []
    before = 0
    for number in range(1, 201):
        record(session, [said("x" * 500)] * number)
        payload = store.stats().payload
        sizes.append(payload - before)
        before = payload
    assert max(sizes[100:]) < 700


# How a transcript is recorded


def test_a_line_that_cannot_be_recorded_leaves_the_others(store: StateStore) -> None:
    recorder = Recorder(store)
    recorder.line(line(user_id="alice", messages=CHAT))
    for bad in (b"oops\n", line(user_id="bob"), line(user_id="bob", messages=[said("hi"), 7])):
        with pytest.raises(TranscriptError):
            recorder.line(bad)
    recorder.line(b"\n")
    recorder.line(line(user_id="carol", session_id="x", messages=CHAT[:2]))
    assert recorder.sessions == {("alice", "default"), ("carol", "x")}
    assert (recorder.messages, recorder.added, recorder.refused) == (10, 10, 3)
    assert [info.user_id for info in store.sessions()] == ["alice", "carol"]


def test_messages_by_themselves_go_on_where_the_last_one_ended(store: StateStore) -> None:
    for added in (len(CHAT), 0):
        recorder = Recorder(store, "alice", "trip")
        for message in CHAT:
            recorder.line(line(**message))
        assert (recorder.messages, recorder.added) == (len(CHAT), added)
        assert store.session("alice", "trip").state() == folded(CHAT)


def test_a_bad_message_by_itself_is_left_out(store: StateStore) -> None:
    recorder = Recorder(store, "alice")
    recorder.line(line(**said("one")))
    with pytest.raises(TranscriptError, match="role is a string"):
        recorder.line(line(role=7))
    recorder.line(line(**said("two")))
    assert contents(store, "alice") == ["one", "two"]


def test_messages_by_themselves_that_differ_are_refused_with_one_complaint(store: StateStore) -> None:
    record(store.session("alice"), [said("one"), said("two")])
    recorder = Recorder(store, "alice")
    recorder.line(line(**said("one")))
    with pytest.raises(DivergedError):
        recorder.line(line(**said("other")))
    recorder.line(line(**said("two")))
    recorder.line(line(user_id="bob", messages=[said("hi")]))
    assert (recorder.messages, recorder.added, recorder.refused) == (2, 1, 2)
    assert contents(store, "alice") == ["one", "two"]
    assert contents(store, "bob") == ["hi"]

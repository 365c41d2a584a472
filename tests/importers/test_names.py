"""Whose session a name means, and when it could mean another's."""

from __future__ import annotations

import pytest

from eventstate.importers.names import Names


@pytest.mark.parametrize(
    ("stem", "users", "expected"),
    [
        ("alice_trip", (), ("", "alice_trip")),
        ("alice_trip", ("alice",), ("alice", "trip")),
        ("alice_trip_home", ("alice", "alice_trip"), ("alice_trip", "home")),
        ("alice_trip", ("ali", ""), ("", "alice_trip")),
        ("alice", ("alice",), ("", "alice")),
        ("alice_", ("alice",), ("alice", "")),
    ],
)
def test_a_file_is_of_the_longest_known_user_or_of_none(
    stem: str, users: tuple[str, ...], expected: tuple[str, str]
) -> None:
    assert Names(users).file(stem) == ("json-session", *expected, False)


@pytest.mark.parametrize(
    ("key", "users", "expected"),
    [
        ("user_state:alice:trip", (), ("redis-state", "alice", "trip", False)),
        ("user_state:a:b:c", (), ("redis-state", "a", "b:c", True)),
        ("user_state:a:b:c", ("a:b",), ("redis-state", "a:b", "c", False)),
        ("user_state:a:b:c", ("a", "a:b"), ("redis-state", "a:b", "c", False)),
        ("user_state:a:b:c", ("a",), ("redis-state", "a", "b:c", False)),
        ("user_state::trip", (), ("redis-state", "", "trip", False)),
        ("user_state:alice", (), None),
        ("USER_STATE:alice:trip", (), None),
        ("user_id:alice:session:trip:state", (), ("redis-session", "alice", "trip", False)),
        ("prod:user_id:alice:session:trip:state", (), ("redis-session", "alice", "trip", False)),
        ("user_id::session::state", (), ("redis-session", "", "", False)),
        ("user_id:a:session:b:session:c:state", (), ("redis-session", "a", "b:session:c", True)),
        (
            "user_id:a:session:b:session:c:state",
            ("a:session:b",),
            ("redis-session", "a:session:b", "c", False),
        ),
        ("user_id:a:session:session:c:state", (), ("redis-session", "a", "session:c", True)),
        ("user_id:user_id:a:session:b:state", (), ("redis-session", "user_id:a", "b", True)),
        ("user_id:alice:session:trip", (), None),
        ("user_id:alice:trip:state", (), None),
        ("session:trip:state", (), None),
    ],
)
def test_a_key_is_of_the_first_user_that_fits_unless_a_longer_one_is_known(
    key: str, users: tuple[str, ...], expected: tuple[str, str, str, bool] | None
) -> None:
    assert Names(users).key(key) == expected


def test_a_prefix_is_matched_exactly_and_settles_where_the_user_starts() -> None:
    names = Names(prefix="prod:")
    assert names.key("prod:user_id:a:session:b:state") == ("redis-session", "a", "b", False)
    assert names.key("test:user_id:a:session:b:state") is None
    assert names.key("user_id:a:session:b:state") is None
    assert names.key("user_state:a:b") == ("redis-state", "a", "b", False)
    assert Names(prefix="").key("prod:user_id:a:session:b:state") is None
    told = Names(prefix="user_id:").key("user_id:user_id:a:session:b:state")
    assert told == ("redis-session", "a", "b", False)

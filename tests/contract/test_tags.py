"""Tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventstate import BranchExistsError, RoundNotFoundError

if TYPE_CHECKING:
    from eventstate import Session, StateStore


def test_a_tag_stays_where_it_was_put_whatever_comes_later(store: StateStore, session: Session) -> None:
    session.save({"n": 1})
    session.save({"n": 2})
    session.tag("before-tools", at=1, actor="me", reason="safe")
    session.tag("now")
    session.save({"n": "one"}, round_id=1)
    assert session.tags() == {"before-tools": 1, "now": 2}
    assert session.state(at="before-tools") == {"n": 1}
    assert session.state(at="now") == {"n": 2}
    tagged = [commit for commit in store.commits() if commit.kind == "tag"]
    assert [(commit.tag, commit.actor) for commit in tagged] == [("before-tools", "me"), ("now", None)]


def test_a_version_can_be_tagged(session: Session) -> None:
    session.save({"a": 1})
    session.save({"a": 2}, round_id=1)
    session.tag("first", version=1)
    assert session.state(at="first") == {"a": 1}


def test_a_taken_tag_is_a_branch_exists_error_and_stays(session: Session) -> None:
    session.save({"n": 1})
    session.tag("t")
    session.save({"n": 2})
    with pytest.raises(BranchExistsError, match="'t'"):
        session.tag("t")
    other = session.fork("other")
    with pytest.raises(BranchExistsError, match="'t'"):
        other.tag("t")
    assert session.tags() == {"t": 1}


def test_a_fork_sees_the_tags_made_before_it_and_adds_its_own(session: Session) -> None:
    session.save({"n": 1})
    session.tag("before")
    other = session.fork("other")
    session.tag("after")
    other.save({"n": 2})
    other.tag("own")
    assert other.tags() == {"before": 1, "own": 2}
    assert session.tags() == {"before": 1, "after": 1}
    assert other.state(at="before") == {"n": 1}
    with pytest.raises(RoundNotFoundError):
        other.state(at="after")


def test_a_tag_of_what_is_not_there_is_a_round_not_found_error(session: Session) -> None:
    with pytest.raises(RoundNotFoundError):
        session.tag("t")
    session.save({})
    with pytest.raises(RoundNotFoundError):
        session.tag("t", at=7)
    assert session.tags() == {}

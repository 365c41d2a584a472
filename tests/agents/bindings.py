"""What tests of bound modules share: what a session holds of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventstate.values.delta import Op
from tests.stores import packed

if TYPE_CHECKING:
    from eventstate import Session
    from tests.agents.modules import Team


def agree(module: Any) -> bool:
    """Say whether a module is what its session holds."""
    return packed(module.state_dict()) == packed(module.bound.state())


def count_to(team: Team, n: Any) -> None:
    """Change what can't tell, and have it noticed."""
    team.counter.n = n
    team.flush()


def edits_of_last(session: Session) -> list[tuple[Any, ...]]:
    """Give path, operation and value of the events of the last commit."""
    writer = session._writer
    branch = writer.branch()
    head = session._journal.branches.head(branch)
    found = []
    for seq in range(head.version - head.events + 1, head.version + 1):
        edit = session._journal.reader.edit(branch, seq)
        found.append((edit.path, Op(edit.op), edit.value))
    return found

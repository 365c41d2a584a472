"""What columns may hold, and whether rows hold nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import apsw

from eventstate.errors import CorruptJournalError

if TYPE_CHECKING:
    from collections.abc import Iterable

TYPES: Final[dict[str, tuple[type, ...]]] = {
    name: types
    for names, types in (
        ("id session position version events weight recorded_at op branch number size head", (int,)),
        ("encrypted pending first last", (int,)),
        ("parent parent_version origin origin_commit origin_round origin_named", (int, type(None))),
        ("round source source_version deleted", (int, type(None))),
        ("user_id session_id name kind", (str,)),
        ("tag actor reason commit_id", (str, type(None))),
        ("path hash chain digest data", (bytes,)),
        ("metadata value salt", (bytes, type(None))),
    )
    for name in names.split()
}
"""What a column may hold. SQLite minds it when it writes, but not when it reads a page of another table."""


class Columns:
    """The columns of each statement that was run, and the types that were found in them to be right.

    Args:
        path: of the file, for messages.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.names: dict[str, list[str]] = {}
        self._shapes: set[tuple[str, tuple[type, ...]]] = set()

    def learn(self, statement: str, cursor: apsw.Cursor) -> None:
        """Remember what the columns of a statement are called, which can be told only while it has rows."""
        try:
            self.names[statement] = [column[0] for column in cursor.getdescription()]
        except apsw.ExecutionCompleteError:
            if "SELECT" not in statement:  # it never has any
                self.names[statement] = []

    def check(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Refuse rows with something in them that their columns can't hold.

        Raises:
            CorruptJournalError: there is one.
        """
        for shape in {tuple(map(type, row)) for row in rows}:
            self._check(statement, shape)

    def check_one(self, statement: str, row: tuple[Any, ...]) -> None:
        """Refuse a row as `check` does."""
        self._check(statement, tuple(map(type, row)))

    def _check(self, statement: str, shape: tuple[type, ...]) -> None:
        if (statement, shape) in self._shapes:
            return
        for name, kind in zip(self.names[statement], shape, strict=False):
            if kind not in TYPES.get(name, (kind,)):
                raise CorruptJournalError(f"{self._path}: a damaged row has {kind.__name__} for {name}")
        self._shapes.add((statement, shape))

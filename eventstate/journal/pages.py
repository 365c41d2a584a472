"""Rows read in pages, so that no statement stays open between two steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from eventstate.errors import CorruptJournalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

K = TypeVar("K", int, tuple[str, ...], tuple[bytes, int])


def pages(
    fetch: Callable[[K], list[Any]], after: K, key: Callable[[Any], K], size: int | None = None
) -> Iterator[Any]:
    """Walk rows in the order of their keys.

    Args:
        fetch: gives some of the rows after a key.
        after: what the first comes after.
        key: of a row.
        size: fewer rows than this are the last.

    Raises:
        CorruptJournalError: keys fall; in a damaged index it could go round for ever.
    """
    while rows := fetch(after):
        last = key(rows[-1])
        if not last > after:
            raise CorruptJournalError(
                f"rows after {after!r} lead to {last!r}: a table or an index is damaged"
            )
        yield from rows
        if size is not None and len(rows) < size:
            return
        after = last

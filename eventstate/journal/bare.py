"""The journal as it stands in the file: read without the caller's types and without caches of states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventstate.journal.branches import Branches
from eventstate.journal.events import EventCodec
from eventstate.journal.postings import Postings
from eventstate.journal.read import Reader
from eventstate.journal.snapshots import Snapshots
from eventstate.values.codec import Codec
from eventstate.values.registry import TypeRegistry

if TYPE_CHECKING:
    from eventstate.journal.cipher import Cipher
    from eventstate.journal.connection import Connection


class Bare:
    """What reads a journal without running anything of the caller's but the key ring."""

    def __init__(self, connection: Connection, cipher: Cipher) -> None:
        self.connection = connection
        self.cipher = cipher
        self.codec = Codec(TypeRegistry(unknown="keep"))
        self.events = EventCodec(self.codec)
        self.branches = Branches(connection)
        self.snapshots = Snapshots(connection, self.branches, self.codec, cipher, every=None)
        postings = Postings(connection, self.branches)
        self.reader = Reader(connection, self.branches, self.snapshots, postings, self.events, cipher=cipher)

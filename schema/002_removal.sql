-- Format 2: what is left of events and commits whose payload was removed. See FORMAT.md.

ALTER TABLE sessions ADD COLUMN deleted INTEGER; -- the key of the commit that deleted it
ALTER TABLE sessions ADD COLUMN encrypted INTEGER NOT NULL DEFAULT 0;

-- Events that are not as they were written any more.
CREATE TABLE redactions (
    id INTEGER PRIMARY KEY, -- of the event
    digest BLOB NOT NULL, -- of the event as it was written
    salt BLOB -- of what stands in its place now
) STRICT;

-- Commits of which nothing else is left.
CREATE TABLE husks (
    id INTEGER PRIMARY KEY, -- of the commit
    position INTEGER NOT NULL UNIQUE,
    hash BLOB NOT NULL
) STRICT;

-- The states to which a pruned past was folded.
CREATE TABLE roots (
    id INTEGER PRIMARY KEY, -- branch << 32 | version
    number INTEGER NOT NULL, -- of the commit at that version
    weight INTEGER NOT NULL, -- of the branch's own events up to that version
    size INTEGER NOT NULL, -- of the state, packed
    salt BLOB NOT NULL,
    digest BLOB NOT NULL, -- of the state, packed, under the salt
    data BLOB NOT NULL
) STRICT;

-- When payloads were removed: what was read before is void.
CREATE TABLE removals (
    id INTEGER PRIMARY KEY,
    position INTEGER NOT NULL, -- of the first commit that says so
    pending INTEGER NOT NULL -- what may still hold them: 1 the write-ahead log, 2 free pages too
) STRICT;

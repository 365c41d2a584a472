-- Format 1. What the columns mean, how hashes are made and how a state is folded: FORMAT.md.

CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    UNIQUE (user_id, session_id)
) STRICT;

CREATE TABLE branches (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions (id),
    name TEXT NOT NULL,
    parent INTEGER REFERENCES branches (id), -- whose past the fork shares, up to
    parent_version INTEGER, -- this version
    origin INTEGER REFERENCES branches (id), -- on which it was made: its rounds and tags are seen as named by
    origin_commit INTEGER, -- this commit,
    origin_round INTEGER, -- up to this round, its own,
    origin_named INTEGER, -- which this commit named
    UNIQUE (session, name)
) STRICT;

CREATE TABLE commits (
    id INTEGER PRIMARY KEY, -- branch << 32 | number
    position INTEGER NOT NULL UNIQUE, -- the order of commits in the whole store
    version INTEGER NOT NULL,
    events INTEGER NOT NULL,
    weight INTEGER NOT NULL, -- of the branch's own events so far, in bytes
    recorded_at INTEGER NOT NULL, -- microseconds since 1970-01-01 UTC
    kind TEXT NOT NULL,
    round INTEGER,
    source INTEGER, -- of a fork, merge or tag: the branch that it refers to
    source_version INTEGER, -- and the version of that
    tag TEXT,
    actor TEXT,
    reason TEXT,
    commit_id TEXT,
    metadata BLOB,
    salt BLOB,
    hash BLOB NOT NULL,
    chain BLOB NOT NULL,
    branch INTEGER GENERATED ALWAYS AS (id >> 32) VIRTUAL
) STRICT;

CREATE INDEX commits_by_round ON commits (branch, round) WHERE round IS NOT NULL;
CREATE UNIQUE INDEX commits_by_commit_id ON commits (branch, commit_id) WHERE commit_id IS NOT NULL;
CREATE INDEX commits_by_source ON commits (branch, source) WHERE source IS NOT NULL;

CREATE TABLE events (
    id INTEGER PRIMARY KEY, -- branch << 32 | seq
    op INTEGER NOT NULL,
    path BLOB NOT NULL,
    value BLOB
) STRICT;

CREATE TABLE tags (
    branch INTEGER NOT NULL REFERENCES branches (id),
    name TEXT NOT NULL,
    source INTEGER NOT NULL REFERENCES branches (id), -- the branch of the version that it names
    version INTEGER NOT NULL,
    number INTEGER NOT NULL, -- of the commit that made the tag
    PRIMARY KEY (branch, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY, -- branch << 32 | version
    head INTEGER NOT NULL, -- 1: the branch's newest, replaced by the next
    number INTEGER NOT NULL, -- of the commit at that version
    weight INTEGER NOT NULL, -- of the branch's own events up to that version
    size INTEGER NOT NULL, -- of the state, packed
    digest BLOB NOT NULL,
    data BLOB NOT NULL
) STRICT;

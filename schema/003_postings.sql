-- Format 3: which events touch an attribute. Derived, and may be missing. See FORMAT.md.

CREATE TABLE postings (
    branch INTEGER NOT NULL,
    path BLOB NOT NULL, -- of the attribute; the empty one has the versions that are listed
    first INTEGER NOT NULL, -- the first seq
    last INTEGER NOT NULL, -- the last one
    data BLOB NOT NULL, -- what leads from each to the next
    PRIMARY KEY (branch, path, first)
) STRICT, WITHOUT ROWID;

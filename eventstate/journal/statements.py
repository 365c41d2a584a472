"""Every statement of SQL that the library runs, beside the migrations in `schema/`."""

from __future__ import annotations

from typing import Final

from eventstate.journal.chain import HASH_SIZE, STRIDE
from eventstate.journal.records import Commit

_COMMIT: Final = ", ".join(Commit._fields)
_HOLES: Final = ", ".join("?" * len(Commit._fields))
BATCH: Final = 64
"""How many keys the statements take that look many rows up at once."""
_MANY: Final = ", ".join("?" * BATCH)
_BRANCH: Final = (
    "id, session, name, parent, parent_version, origin, origin_commit, origin_round, origin_named"
)

# Connection
BEGIN: Final = "BEGIN IMMEDIATE"
COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"
LOOK: Final = "PRAGMA data_version"
SAVEPOINT: Final = "SAVEPOINT one"
RELEASE: Final = "RELEASE one"
ROLLBACK_TO: Final = "ROLLBACK TO one"

# Removals
EPOCH: Final = "SELECT max(id) FROM removals"  # as TIP has it, in a damaged file too
EPOCH_AT: Final = "SELECT max(id) FROM removals WHERE position < ?"
ADD_REMOVAL: Final = "INSERT INTO removals (position, pending) VALUES (?, ?)"
STAGE: Final = "SELECT max(pending) FROM removals"
SET_STAGE: Final = "UPDATE removals SET pending = ? WHERE pending = ? AND id <= ?"
SET_DELETED: Final = "UPDATE sessions SET deleted = ? WHERE id = ?"
PURGE: Final = (
    "INSERT INTO husks (id, position, hash) SELECT id, position, hash FROM commits WHERE id BETWEEN ? AND ?",
    "DELETE FROM commits WHERE id BETWEEN ? AND ?",
    "DELETE FROM events WHERE id BETWEEN ? AND ?",
    "DELETE FROM snapshots WHERE id BETWEEN ? AND ?",
    "DELETE FROM roots WHERE id BETWEEN ? AND ?",
    "DELETE FROM redactions WHERE id BETWEEN ? AND ?",
    "DELETE FROM tags WHERE branch << 32 BETWEEN ? AND ?",
    "DELETE FROM postings WHERE branch BETWEEN ? >> 32 AND ? >> 32",
)
COUNT_BETWEEN: Final = """
    SELECT (SELECT count(*) FROM commits WHERE id BETWEEN ?1 AND ?2),
        (SELECT count(*) FROM events WHERE id BETWEEN ?1 AND ?2)"""
PURGE_BRANCH: Final = "DELETE FROM branches WHERE id = ?"
PURGE_SESSION: Final = "DELETE FROM sessions WHERE id = ?"
VACUUM: Final = "VACUUM"
INCREMENTAL_VACUUM: Final = "PRAGMA incremental_vacuum"
TRUNCATE_LOG: Final = "PRAGMA wal_checkpoint(TRUNCATE)"

# Sessions and branches
FIND_SESSION: Final = "SELECT id FROM sessions WHERE user_id = ? AND session_id = ?"
ADD_SESSION: Final = "INSERT INTO sessions (user_id, session_id, encrypted) VALUES (?, ?, ?) RETURNING id"
SESSION_NAMES: Final = "SELECT user_id, session_id FROM sessions WHERE id = ?"


def list_sessions(*, by_user: bool, first: bool) -> str:
    """Give the statement for a page of sessions, of one user or of all, from the first or after a name."""
    if by_user:
        where = "AND user_id = ?" if first else "AND user_id = ? AND session_id > ?"
    else:
        where = "" if first else "AND (user_id, session_id) > (?, ?)"
    where = f"WHERE (deleted IS NULL OR ?) {where}"
    return (
        f"SELECT id, user_id, session_id, deleted FROM sessions {where} ORDER BY user_id, session_id LIMIT ?"
    )


# With the names of its session, if that is encrypted.
_FROM_BRANCHES: Final = f"""
    SELECT {_BRANCH}, (SELECT user_id FROM sessions WHERE sessions.id = session AND encrypted),
        (SELECT session_id FROM sessions WHERE sessions.id = session AND encrypted)
    FROM branches"""
FIND_BRANCH: Final = f"{_FROM_BRANCHES} WHERE session = ? AND name = ?"
GET_BRANCH: Final = f"{_FROM_BRANCHES} WHERE id = ?"
LIST_BRANCHES: Final = "SELECT name FROM branches WHERE session = ? ORDER BY id"
SESSION_BRANCH_IDS: Final = "SELECT id FROM branches WHERE session = ? ORDER BY id"
LIST_BRANCH_IDS: Final = "SELECT id FROM branches ORDER BY id"
# A number is never given again, not even if nothing but husks is left of a branch.
ADD_BRANCH: Final = f"""
    INSERT INTO branches ({_BRANCH}) VALUES (
        1 + max(coalesce((SELECT max(id) FROM branches), 0), coalesce((SELECT max(id) FROM husks) >> 32, 0)),
        ?, ?, ?, ?, ?, ?, ?, ?)
    RETURNING id"""

# Commits
HEAD_COMMIT: Final = f"SELECT {_COMMIT} FROM commits WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"
TIP: Final = f"""
    SELECT {_COMMIT}, (
        SELECT max(id) FROM commits WHERE branch = ?1
        AND round = (SELECT max(round) FROM commits WHERE branch = ?1 AND round IS NOT NULL)),
        (SELECT deleted FROM sessions WHERE id = ?4), (SELECT max(id) FROM removals)
    FROM commits WHERE id BETWEEN ?2 AND ?3 ORDER BY id DESC LIMIT 1"""
COMMITS_OF: Final = f"SELECT {_COMMIT} FROM commits WHERE id IN ({_MANY})"
GET_COMMIT: Final = f"SELECT {_COMMIT} FROM commits WHERE id = ?"
COMMIT_AT_POSITION: Final = f"SELECT {_COMMIT} FROM commits WHERE position = ?"
STAMP: Final = """
    SELECT id, version, recorded_at FROM commits WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1"""
LAST_COMMITS: Final = f"""
    SELECT position, recorded_at, hash, chain FROM commits WHERE position >= coalesce((
        SELECT position FROM commits WHERE length(chain) = {HASH_SIZE} ORDER BY position DESC LIMIT 1), 0)
    ORDER BY position DESC LIMIT {STRIDE}"""
SEEN_COMMIT: Final = f"SELECT {_COMMIT} FROM commits WHERE branch = ? AND commit_id = ?"
ADD_COMMIT: Final = f"INSERT INTO commits ({_COMMIT}) VALUES ({_HOLES})"
LIST_COMMITS: Final = f"SELECT {_COMMIT} FROM commits WHERE position > ? ORDER BY position LIMIT ?"
COMMITS_FROM: Final = f"SELECT {_COMMIT} FROM commits WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
COMMIT_REACHING: Final = f"""
    SELECT {_COMMIT} FROM commits WHERE id BETWEEN ? AND ? AND version >= ? ORDER BY id LIMIT 1"""
COMMITS_REACHING: Final = f"""
    SELECT {_COMMIT} FROM (VALUES {", ".join(["(?, ?, ?)"] * BATCH)}) JOIN commits ON id = (
        SELECT id FROM commits WHERE id BETWEEN column1 AND column2 AND version >= column3
        ORDER BY id LIMIT 1)"""
COUNT_COMMITS: Final = "SELECT count(*) FROM commits"
FIND_ROUND: Final = f"""
    SELECT {_COMMIT} FROM commits
    WHERE branch = ? AND round = ? AND id <= ? ORDER BY id DESC LIMIT 1"""
HIGHEST_ROUND: Final = f"""
    SELECT {_COMMIT} FROM commits
    WHERE branch = ? AND round <= ? AND id <= ? ORDER BY round DESC, id DESC LIMIT 1"""
ROUND_BEFORE: Final = f"""
    SELECT {_COMMIT} FROM commits
    WHERE id BETWEEN ? AND ? AND version <= ? AND round <= ? ORDER BY id DESC LIMIT 1"""
LIST_ROUNDS: Final = """
    SELECT round, max(id) FROM commits
    WHERE branch = ? AND round BETWEEN ? AND ? AND id <= ? GROUP BY round ORDER BY round LIMIT ?"""
LIST_ROUNDS_BACKWARDS: Final = LIST_ROUNDS.replace("ORDER BY round", "ORDER BY round DESC")
LIST_MERGES: Final = """
    SELECT source, source_version FROM commits
    WHERE branch = ? AND source IS NOT NULL AND kind = 'merge' AND version <= ?"""

# Events
ADD_EVENT: Final = "INSERT INTO events (id, op, path, value) VALUES (?, ?, ?, ?)"
LIST_EVENTS: Final = "SELECT id, op, path, value FROM events WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
LIST_PATHS: Final = "SELECT id, op, path FROM events WHERE id > ? AND id <= ? AND op < 6 ORDER BY id"
LIST_NOTES: Final = "SELECT id, op, path, value FROM events WHERE id > ? AND id <= ? AND op = 6 ORDER BY id"
# What recipes refer to. The values of a run are joined where they stand, in the order of their keys.
EVENT_VALUES: Final = f"SELECT id, value FROM events WHERE id IN ({_MANY})"
JOINED_VALUES: Final = """
    SELECT CAST(group_concat(substr(value, ?), '') AS BLOB) AS value FROM events NOT INDEXED
    WHERE id > ? AND id <= ? AND op = ? AND path = ?"""
VALUE_LENGTHS: Final = """
    SELECT id, length(value) FROM events WHERE id > ? AND id <= ? AND op = ? AND path = ? ORDER BY id"""
ANY_VALUE: Final = "SELECT 1 FROM events WHERE id > ? AND id <= ? AND op = ? AND path = ? LIMIT 1"
GET_EVENT: Final = "SELECT op, path, value FROM events WHERE id = ?"
ANY_CHANGE: Final = "SELECT 1 FROM events WHERE id > ? AND id <= ? AND op < 6 LIMIT 1"
ANY_ERASURE: Final = "SELECT 1 FROM events WHERE id > ? AND id <= ? AND op = 8 LIMIT 1"


# An attribute's events: of itself and what is below it (one range of paths), and of what is above it,
# except for the order of keys there, which is no matter of this one among them.
def list_attribute(ancestors: int) -> str:
    """Give the statement for an attribute that has so many ancestors."""
    above = f" OR (op < 5 AND path IN ({', '.join('?' * ancestors)}))" if ancestors else ""
    return f"""
        SELECT id, op, path FROM events
        WHERE id > ? AND id <= ? AND op < 6 AND (path >= ? AND path < ?{above}) ORDER BY id"""


# Postings
LIST_KEYS: Final = "SELECT id, op, path FROM events WHERE id > ? AND id <= ? ORDER BY id"
EVENTS_AT: Final = f"SELECT id, op, path, value FROM events WHERE id IN ({_MANY}) ORDER BY id"
PATHS_AT: Final = EVENTS_AT.replace(", value", "")


# All that a branch's lists say of an attribute, and up to which version, as of one moment.
def find_postings(ancestors: int) -> str:
    """Give the statement for an attribute that has so many ancestors."""
    where = "SELECT path, first, last, data FROM postings WHERE branch = ?1"
    parts = [f"{where} AND path = x''", f"{where} AND path >= ?2 AND path < ?3"]
    parts += [f"{where} AND path = ?{4 + place}" for place in range(ancestors)]
    return " UNION ALL ".join(parts)


LISTED: Final = "SELECT path, first, last, data FROM postings WHERE branch = ? AND path = x'' LIMIT 2"
LAST_POSTING: Final = """
    SELECT path, first, last, data FROM postings WHERE branch = ? AND path = ? ORDER BY first DESC LIMIT 1"""
LIST_POSTINGS: Final = """
    SELECT path, first, last, data FROM postings
    WHERE branch = ? AND (path, first) > (?, ?) ORDER BY path, first LIMIT ?"""
PUT_POSTING: Final = """
    INSERT OR REPLACE INTO postings (branch, path, first, last, data) VALUES (?, ?, ?, ?, ?)"""
COUNT_LISTABLE: Final = """
    SELECT count(*), coalesce(sum(op < 6 AND path <> x'' OR op = 6), 0)
    FROM events WHERE id > ? AND id <= ?"""
DROP_POSTINGS: Final = "DELETE FROM postings"
DROP_POSTINGS_OF: Final = "DELETE FROM postings WHERE branch = ?"

# Tags
ADD_TAG: Final = "INSERT INTO tags (branch, name, source, version, number) VALUES (?, ?, ?, ?, ?)"
FIND_TAG: Final = "SELECT source, version FROM tags WHERE branch = ? AND name = ? AND number <= ?"
LIST_TAGS: Final = (
    "SELECT name, source, version FROM tags WHERE branch = ? AND number <= ? ORDER BY version, name"
)

# Snapshots
FIND_SNAPSHOT: Final = """
    SELECT id, number, weight, size, NULL AS salt, digest, data FROM snapshots WHERE id BETWEEN ?1 AND ?2
    UNION ALL SELECT id, number, weight, size, salt, digest, data FROM roots WHERE id BETWEEN ?1 AND ?2
    ORDER BY id DESC LIMIT 1"""
LIST_SNAPSHOTS: Final = "SELECT id FROM snapshots WHERE id BETWEEN ? AND ? ORDER BY id"
LAST_SNAPSHOT: Final = """
    SELECT id, number, weight, size, length(data) FROM snapshots WHERE id BETWEEN ?1 AND ?2 AND head <= ?3
    UNION ALL SELECT id, number, weight, size, length(data) FROM roots WHERE id BETWEEN ?1 AND ?2
    ORDER BY id DESC LIMIT 1"""
ADD_SNAPSHOT: Final = """
    INSERT INTO snapshots (id, head, number, weight, size, digest, data) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET head = min(head, excluded.head), number = excluded.number,
    weight = excluded.weight, size = excluded.size, digest = excluded.digest, data = excluded.data"""
DROP_HEAD_SNAPSHOTS: Final = "DELETE FROM snapshots WHERE id BETWEEN ? AND ? AND head = 1"
DROP_SNAPSHOTS: Final = "DELETE FROM snapshots"
DROP_SNAPSHOTS_OF: Final = "DELETE FROM snapshots WHERE id BETWEEN ? AND ?"
ROOT_PLACE: Final = "SELECT number, weight FROM roots WHERE id = ?"
ADD_ROOT: Final = """
    INSERT OR REPLACE INTO roots (id, number, weight, size, salt, digest, data)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
LAST_ROOT: Final = "SELECT id, number FROM roots WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"
GET_SNAPSHOT: Final = (
    "SELECT id, number, weight, size, NULL AS salt, digest, data FROM snapshots WHERE id = ?"
)
NEWEST_SNAPSHOT: Final = """
    SELECT id, number, weight, size, NULL AS salt, digest, data FROM snapshots
    WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 1"""
GET_ROOT: Final = "SELECT id, number, weight, size, salt, digest, data FROM roots WHERE id = ?"
LIST_ROOTS: Final = "SELECT id FROM roots WHERE id BETWEEN ? AND ? ORDER BY id"
DROP_ROOTS: Final = "DELETE FROM roots WHERE id BETWEEN ? AND ?"

# What a pruning looks at and drops
COMMITS_UPTO: Final = f"SELECT {_COMMIT} FROM commits WHERE id > ? AND id <= ? ORDER BY id LIMIT 1024"
REFERRED_VERSIONS: Final = """
    SELECT parent_version FROM branches WHERE parent = ?1
    UNION SELECT version FROM tags WHERE source = ?1
    UNION SELECT source_version FROM commits WHERE source = ?1 AND kind = 'merge'
        AND branch IN (SELECT id FROM branches WHERE session = ?2)
    UNION SELECT version FROM commits WHERE id IN (
        SELECT origin_named FROM branches WHERE session = ?2) AND branch = ?1"""
REFERRED_COMMITS: Final = "SELECT origin_commit, origin_named FROM branches WHERE origin = ?"
DROP_EVENTS: Final = "DELETE FROM events WHERE id > ? AND id <= ?"
DROP_COMMIT: Final = "DELETE FROM commits WHERE id = ?"
FIND_HUSK: Final = "SELECT id FROM husks WHERE id = ?"
ADD_HUSK: Final = "INSERT INTO husks (id, position, hash) VALUES (?, ?, ?)"

# Redactions and husks
SET_EVENT: Final = "UPDATE events SET op = ?, path = ?, value = ? WHERE id = ?"
SET_SALT: Final = "UPDATE commits SET salt = ? WHERE id = ?"
ADD_REDACTION: Final = """
    INSERT INTO redactions (id, digest, salt) VALUES (?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET salt = excluded.salt"""
LIST_REDACTIONS: Final = "SELECT id, digest, salt FROM redactions WHERE id > ? AND id <= ? ORDER BY id"
DROP_REDACTIONS: Final = "DELETE FROM redactions WHERE id BETWEEN ? AND ?"
LIST_HUSKS: Final = "SELECT id, position, hash FROM husks WHERE position > ? ORDER BY position LIMIT ?"

# What verify and stats look at
INTEGRITY_CHECK: Final = "PRAGMA integrity_check"
FOREIGN_KEY_CHECK: Final = "PRAGMA foreign_key_check"
STRAY_EVENTS: Final = """
    SELECT id FROM events WHERE NOT EXISTS (
        SELECT 1 FROM branches WHERE branches.id = events.id >> 32
        AND (events.id & 4294967295) > max(coalesce(parent_version, 0), coalesce((
            SELECT max(id) & 4294967295 FROM roots
            WHERE id BETWEEN branches.id << 32 AND branches.id << 32 | 4294967295), 0))
        AND (events.id & 4294967295) <= (
            SELECT version FROM commits
            WHERE commits.id BETWEEN branches.id << 32 AND branches.id << 32 | 4294967295
            ORDER BY commits.id DESC LIMIT 1))
    ORDER BY id LIMIT 1000"""
STRAY_ROOTS: Final = """
    SELECT id FROM roots WHERE NOT EXISTS (SELECT 1 FROM branches WHERE branches.id = roots.id >> 32)"""
MISTAKEN_DELETED: Final = """
    SELECT user_id, session_id FROM sessions WHERE deleted IS NOT (
        SELECT CASE kind WHEN 'delete' THEN id END FROM commits
        WHERE kind IN ('delete', 'restore')
        AND branch = (SELECT id FROM branches WHERE session = sessions.id AND name = 'main')
        ORDER BY id DESC LIMIT 1)"""
STRAY_SESSIONS: Final = """
    SELECT user_id, session_id FROM sessions WHERE NOT EXISTS (
        SELECT 1 FROM branches WHERE branches.session = sessions.id AND branches.name = 'main')"""
STRAY_SNAPSHOTS: Final = """
    SELECT id FROM snapshots
    WHERE NOT EXISTS (SELECT 1 FROM branches WHERE branches.id = snapshots.id >> 32)"""
STRAY_POSTINGS: Final = """
    SELECT DISTINCT branch FROM postings
    WHERE NOT EXISTS (SELECT 1 FROM branches WHERE branches.id = branch)"""
# Events that are encrypted where their session is not, or the other way round.
MIXED_EVENTS: Final = """
    SELECT events.id, op FROM events JOIN branches ON branches.id = events.id >> 32
    JOIN sessions ON sessions.id = branches.session
    WHERE op NOT IN (7, 8, 9) AND (op = 10) <> (encrypted <> 0) ORDER BY events.id LIMIT 1000"""
SCHEMA: Final = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name"
SCHEMA_OF_TABLES: Final = "SELECT tbl_name, type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
ALL_TAGS: Final = "SELECT branch, name, source, version, number FROM tags ORDER BY branch, name"
LOST_TAGS: Final = f"""
    SELECT {_COMMIT} FROM commits WHERE kind = 'tag' AND NOT EXISTS (
        SELECT 1 FROM tags WHERE tags.branch = commits.branch AND tags.number = commits.id & 4294967295)
    ORDER BY position"""
STATS: Final = """
    SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM branches), (SELECT count(*) FROM commits),
        events.count, events.payload, snapshots.count, snapshots.size, snapshots.stored,
        (SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()),
        (SELECT freelist_count * page_size FROM pragma_freelist_count(), pragma_page_size())
    FROM
        (SELECT count(*) AS count, coalesce(sum(length(path) + coalesce(length(value), 0)), 0) AS payload
            FROM events) AS events,
        (SELECT count(*) AS count, coalesce(sum(size), 0) AS size, coalesce(sum(length(data)), 0) AS stored
            FROM snapshots) AS snapshots"""

# Repair
TABLES: Final = "SELECT name FROM sqlite_schema WHERE type = 'table'"
READ_BRANCH: Final = f"SELECT {_BRANCH} FROM branches WHERE id = ?"
READ_SESSION: Final = "SELECT user_id, session_id, encrypted FROM sessions WHERE id = ?"
READ_SESSION_1: Final = READ_SESSION.replace("encrypted", "0 AS encrypted")
# The same once more, as unique indexes have it.
BRANCH_NAMES: Final = "SELECT id, session, name FROM branches INDEXED BY sqlite_autoindex_branches_1"
ALL_SESSION_NAMES: Final = (
    "SELECT id, user_id, session_id FROM sessions INDEXED BY sqlite_autoindex_sessions_1"
)
COMMIT_PLACES: Final = "SELECT id, position FROM commits NOT INDEXED WHERE id >= ? ORDER BY id LIMIT ?"
COMMITS_BEYOND: Final = "SELECT id FROM commits INDEXED BY sqlite_autoindex_commits_1 WHERE position > ?"
HUSK_PLACES: Final = COMMIT_PLACES.replace("commits", "husks")
HUSK_AT_POSITION: Final = "SELECT id, position, hash FROM husks WHERE position = ?"
GET_HUSK: Final = "SELECT id, position, hash FROM husks WHERE id = ?"
GET_REDACTION: Final = "SELECT digest, salt FROM redactions WHERE id = ?"
PUT_REDACTION: Final = "INSERT INTO redactions (id, digest, salt) VALUES (?, ?, ?)"
PUT_SESSION: Final = "INSERT INTO sessions (id, user_id, session_id, encrypted) VALUES (?, ?, ?, ?)"
PUT_BRANCH: Final = f"INSERT INTO branches ({_BRANCH}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
HIGHEST_OWN_ROUND: Final = "SELECT max(round) FROM commits WHERE branch = ?"
# Of what is given up, husks are left; until all of them are known, they have numbers below 0.
GIVE_UP: Final = (
    """INSERT INTO husks (id, position, hash)
    SELECT -position, position, hash FROM commits WHERE id > ? AND id <= ?""",
    "DELETE FROM commits WHERE id > ? AND id <= ?",
    "UPDATE husks SET id = -position WHERE id > ? AND id <= ?",
)
GIVE_UP_EVENTS: Final = (
    "DELETE FROM events WHERE id > ? AND id <= ?",
    "DELETE FROM redactions WHERE id > ? AND id <= ?",
)
GIVEN_UP: Final = "SELECT id FROM husks WHERE id < 0 ORDER BY id DESC"
LAST_TIME: Final = "SELECT max(recorded_at) FROM commits"
RENUMBER_HUSK: Final = "UPDATE husks SET id = ? WHERE id = ?"
LAST_NUMBER: Final = (
    "SELECT max(coalesce((SELECT max(id) FROM branches), 0), coalesce((SELECT max(id) FROM husks), 0) >> 32)"
)
COUNT_GONE: Final = """
    SELECT count(DISTINCT id >> 32) FROM husks
    WHERE NOT EXISTS (SELECT 1 FROM branches WHERE branches.id = husks.id >> 32)"""
TOLD_GONE: Final = """
    SELECT metadata FROM commits
    WHERE branch = 0 AND kind IN ('purge', 'repair') AND metadata IS NOT NULL"""
MERGED_VERSIONS: Final = """
    SELECT source, max(source_version) FROM commits
    WHERE kind = 'merge' AND source IS NOT NULL AND source_version IS NOT NULL GROUP BY source"""
INDEXES: Final = "REINDEX"
WRONG_TAGS: Final = """
    DELETE FROM tags WHERE NOT EXISTS (
        SELECT 1 FROM commits WHERE commits.id = tags.branch << 32 | tags.number AND kind = 'tag'
        AND tag = tags.name AND commits.source = tags.source AND source_version = tags.version)
    RETURNING name"""
MISSING_TAGS: Final = """
    INSERT OR IGNORE INTO tags (branch, name, source, version, number)
    SELECT branch, tag, source, source_version, id & 4294967295 FROM commits
    WHERE kind = 'tag' AND tag IS NOT NULL AND source IN (SELECT id FROM branches)
        AND branch IN (SELECT id FROM branches)
    RETURNING name"""
MEND_DELETED: Final = """
    WITH told AS (
        SELECT sessions.id AS session, (
            SELECT CASE kind WHEN 'delete' THEN commits.id END FROM commits
            WHERE kind IN ('delete', 'restore') AND branch = (
                SELECT id FROM branches WHERE branches.session = sessions.id AND name = 'main')
            ORDER BY commits.id DESC LIMIT 1) AS deleted
        FROM sessions)
    UPDATE sessions SET deleted = told.deleted FROM told
    WHERE told.session = sessions.id AND sessions.deleted IS NOT told.deleted
    RETURNING sessions.id"""
COUNT_SNAPSHOTS: Final = "SELECT count(*) FROM snapshots"
COMMITS_OF_VERSION: Final = (
    f"SELECT {_COMMIT} FROM commits WHERE branch = ? AND id <= ? AND version = ? ORDER BY id DESC LIMIT 1"
)

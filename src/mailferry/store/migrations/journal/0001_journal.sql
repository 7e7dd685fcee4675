-- What must not be lost: one file for the whole node.
-- Every table has an integer key, so that a damaged file can be salvaged by walking the keys.
-- Times are milliseconds since 1970, UTC, unless said otherwise; they are shown, never compared.

-- Things of the node itself.
CREATE TABLE setting (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    value BLOB NOT NULL
) STRICT;

-- A mail account: settings as JSON, its local login, and the sealed credential for the server.
CREATE TABLE account (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    settings TEXT NOT NULL,
    local_login TEXT NOT NULL UNIQUE,
    local_verifier TEXT NOT NULL,
    credential BLOB NOT NULL,
    created_at INTEGER NOT NULL  -- seconds since 1970, UTC
) STRICT;

-- What a lost replica must not take with it.
CREATE TABLE account_state (
    account INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    modseq_reserved INTEGER NOT NULL,   -- no MODSEQ above this was ever given
    uid_validity_last INTEGER NOT NULL, -- the highest UIDVALIDITY given: ascending, never reused
    replica_open INTEGER NOT NULL       -- 1 while the replica may be behind the journal
) STRICT;

-- The map of mailboxes: our permanent id and UIDVALIDITY, and what the server calls it.
CREATE TABLE mailbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    path TEXT NOT NULL,             -- JSON array of components, as at the server (or as born here)
    uid_validity INTEGER NOT NULL,
    uid_next INTEGER NOT NULL DEFAULT 1,
    at_server INTEGER NOT NULL,     -- 1: it certainly is there, though `remote` may be unknown
    remote TEXT                     -- the server's id; NULL: not there, or found by its path next
) STRICT;
CREATE UNIQUE INDEX mailbox_by_remote ON mailbox (account, remote) WHERE remote IS NOT NULL;
CREATE INDEX mailbox_by_account ON mailbox (account);

-- Content that came with an append, until the server has it.
CREATE TABLE blob (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    hash TEXT,                      -- SHA-256 in hexadecimal; NULL while it is coming in
    size INTEGER NOT NULL,          -- octets
    description BLOB                -- msgpack: envelope, structure, fields, header, tree
) STRICT;
CREATE UNIQUE INDEX blob_by_hash ON blob (account, hash) WHERE hash IS NOT NULL;

CREATE TABLE blob_chunk (
    id INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL REFERENCES blob (id) ON DELETE CASCADE,
    start INTEGER NOT NULL,         -- octets before it
    data BLOB NOT NULL              -- zstd
) STRICT;
CREATE UNIQUE INDEX blob_chunk_by_start ON blob_chunk (owner, start);

-- The map of messages: our permanent id and UID, what the server calls it, and keyed hashes by which
-- it is found again when the server calls it something else.
CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    uid INTEGER NOT NULL,
    at_server INTEGER NOT NULL,     -- 1: it certainly is there, though `remote` may be unknown
    born INTEGER NOT NULL,          -- 1: made here by an operation
    remote INTEGER,                 -- the server's 64 bits, as a signed number
    email_id BLOB,
    content_id BLOB,
    blob INTEGER REFERENCES blob (id)  -- its content, pinned here until the server has it
) STRICT;
CREATE UNIQUE INDEX message_by_uid ON message (mailbox, uid);
CREATE UNIQUE INDEX message_by_remote ON message (mailbox, remote) WHERE remote IS NOT NULL;
CREATE INDEX message_awaiting ON message (mailbox) WHERE remote IS NULL AND at_server = 1;
CREATE INDEX message_by_blob ON message (blob) WHERE blob IS NOT NULL;

-- Operations in the order of staging; final ones stay for a while as history.
CREATE TABLE operation (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,               -- 32 hexadecimal digits
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    login TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload BLOB NOT NULL,          -- msgpack of the operation; permanent ids only
    result BLOB NOT NULL,           -- msgpack of what was given out at staging
    state TEXT NOT NULL
        CHECK (state IN ('staged', 'committed', 'applying', 'applied', 'refused', 'withdrawn')),
    probe BLOB,                     -- what to look for after an attempt
    blob INTEGER REFERENCES blob (id),  -- what it brings, pinned until it is final
    mailbox_path TEXT NOT NULL,     -- names as they were at staging, for people
    target_path TEXT,
    staged_at INTEGER NOT NULL,
    settled_at INTEGER,
    done_at INTEGER,
    reason TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX operation_by_id ON operation (account, id);
CREATE INDEX operation_by_account ON operation (account, sequence);
CREATE INDEX operation_by_blob ON operation (blob) WHERE blob IS NOT NULL;
CREATE INDEX operation_open ON operation (account, sequence)
    WHERE state IN ('staged', 'committed', 'applying');

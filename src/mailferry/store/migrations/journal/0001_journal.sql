-- What must not be lost: one file for the whole node.
-- Every table has an integer key, so that a damaged file can be salvaged by walking the keys.

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

-- What can be fetched again: one file for each account.  Ids are those of the journal's map.

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO setting (name, value) VALUES ('modseq', 1), ('use', 0), ('stored', 0);

-- Mailboxes as the server last listed them (or as born here: `listed` = 0), and our numbers.
CREATE TABLE mailbox (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,                 -- JSON array
    attributes TEXT NOT NULL,           -- JSON array
    listed INTEGER NOT NULL,
    token TEXT,                         -- the server's state up to which changes were taken in
    uid_next INTEGER NOT NULL,          -- above every UID that is shown
    modseq INTEGER NOT NULL,            -- of the last change that shows
    horizon INTEGER NOT NULL            -- tombstones up to this MODSEQ have been forgotten
) STRICT;

-- The server's list of subscribed names, with or without a mailbox.
CREATE TABLE subscription (
    path TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Sets of flags are few: each is kept once.  Sorted, separated by spaces, with one at each end.
CREATE TABLE flag_set (
    id INTEGER PRIMARY KEY,
    flags TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    uid INTEGER NOT NULL,
    said_flags INTEGER REFERENCES flag_set (id),  -- what the server last said; NULL: not yet
    flags INTEGER NOT NULL REFERENCES flag_set (id),  -- what is shown
    hidden INTEGER NOT NULL DEFAULT 0,  -- 1: a waiting operation takes it away
    modseq INTEGER NOT NULL,
    created_modseq INTEGER NOT NULL,
    listed INTEGER NOT NULL DEFAULT 0,  -- 1: what a list needs is here
    wanted INTEGER NOT NULL DEFAULT 0,  -- 1: the body is to be fetched ahead of time
    parse INTEGER NOT NULL DEFAULT 0,   -- our tree of the body: 0 unknown, 1 the server's, 2 differs
    internal_date INTEGER,              -- seconds since 1970
    zone_min INTEGER,                   -- minutes east of Greenwich
    size INTEGER,                       -- octets, as the server claims
    email_id TEXT,
    thread_id TEXT
) STRICT;
CREATE INDEX message_by_modseq ON message (mailbox, modseq, id) WHERE hidden = 0;
CREATE INDEX message_by_uid ON message (mailbox, uid);
CREATE INDEX message_unlisted ON message (mailbox, uid) WHERE listed = 0;
CREATE INDEX message_wanted ON message (id) WHERE wanted = 1;

CREATE TABLE summary (
    message INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    envelope BLOB,
    body_structure BLOB,
    header_fields BLOB,
    header BLOB
) STRICT;

-- Messages that were shown and are gone.
CREATE TABLE tombstone (
    message INTEGER PRIMARY KEY,
    mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    modseq INTEGER NOT NULL,
    created_modseq INTEGER NOT NULL
) STRICT;
CREATE INDEX tombstone_by_modseq ON tombstone (mailbox, modseq, message);

-- How many messages are shown with each set of flags: STATUS never counts rows.
CREATE TABLE tally (
    mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    flags INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    octets INTEGER NOT NULL,
    PRIMARY KEY (mailbox, flags)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER tally_insert AFTER INSERT ON message WHEN NEW.hidden = 0 BEGIN
    INSERT INTO tally VALUES (NEW.mailbox, NEW.flags, 1, ifnull(NEW.size, 0))
        ON CONFLICT DO UPDATE SET messages = messages + 1, octets = octets + excluded.octets;
END;
CREATE TRIGGER tally_delete AFTER DELETE ON message WHEN OLD.hidden = 0 BEGIN
    UPDATE tally SET messages = messages - 1, octets = octets - ifnull(OLD.size, 0)
        WHERE mailbox = OLD.mailbox AND flags = OLD.flags;
END;
CREATE TRIGGER tally_update AFTER UPDATE OF flags, hidden, size ON message
    WHEN OLD.flags <> NEW.flags OR OLD.hidden <> NEW.hidden OR OLD.size IS NOT NEW.size BEGIN
    UPDATE tally SET messages = messages - 1, octets = octets - ifnull(OLD.size, 0)
        WHERE OLD.hidden = 0 AND mailbox = OLD.mailbox AND flags = OLD.flags;
    INSERT INTO tally SELECT NEW.mailbox, NEW.flags, 1, ifnull(NEW.size, 0) WHERE NEW.hidden = 0
        ON CONFLICT DO UPDATE SET messages = messages + 1, octets = octets + excluded.octets;
END;

-- Content by its hash, whole or as far as it came.
CREATE TABLE body (
    id INTEGER PRIMARY KEY,
    hash TEXT UNIQUE,                   -- SHA-256 in hexadecimal; NULL while it is not whole
    size INTEGER NOT NULL,              -- octets that it will have
    arrived INTEGER NOT NULL,           -- octets that are here
    stored INTEGER NOT NULL,            -- octets on the disk
    used INTEGER NOT NULL,              -- ascending with every use: the lowest goes first
    tree BLOB                           -- msgpack: our parse
) STRICT;
CREATE INDEX body_by_use ON body (used);
CREATE TRIGGER stored_insert AFTER INSERT ON body BEGIN
    UPDATE setting SET value = value + NEW.stored WHERE name = 'stored';
END;
CREATE TRIGGER stored_update AFTER UPDATE OF stored ON body BEGIN
    UPDATE setting SET value = value + NEW.stored - OLD.stored WHERE name = 'stored';
END;
CREATE TRIGGER stored_delete AFTER DELETE ON body BEGIN
    UPDATE setting SET value = value - OLD.stored WHERE name = 'stored';
END;

CREATE TABLE body_chunk (
    id INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL REFERENCES body (id) ON DELETE CASCADE,
    start INTEGER NOT NULL,
    data BLOB NOT NULL                  -- zstd
) STRICT;
CREATE UNIQUE INDEX body_chunk_by_start ON body_chunk (owner, start);

-- Which content is which section of which message; "" is the whole.
CREATE TABLE section (
    id INTEGER PRIMARY KEY,
    message INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    body INTEGER NOT NULL REFERENCES body (id)
) STRICT;
CREATE UNIQUE INDEX section_by_message ON section (message, name);
CREATE INDEX section_by_body ON section (body);

-- A record is JSON; the columns beside it are for uniqueness and for people.
-- IDs are 32 bytes.
CREATE TABLE network (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    name TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
) STRICT;

CREATE TABLE sandbox (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    name TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
) STRICT;

CREATE TABLE endpoint (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    network BLOB NOT NULL,
    sandbox BLOB,
    record TEXT NOT NULL
) STRICT;

CREATE TABLE setting (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

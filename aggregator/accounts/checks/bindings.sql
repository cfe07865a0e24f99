-- Which legal entity answers for a device, or for a gateway's signing key, since when; a change is a further row.

CREATE TABLE IF NOT EXISTS binding (
    no INTEGER PRIMARY KEY,
    facility TEXT NOT NULL,
    edge TEXT NOT NULL,
    device TEXT NOT NULL,
    key TEXT NOT NULL,
    entity TEXT NOT NULL,
    since_ms INTEGER NOT NULL
) STRICT;

CREATE TRIGGER IF NOT EXISTS binding_stays BEFORE DELETE ON binding
BEGIN SELECT RAISE(ABORT, 'a binding is never deleted: a later one takes its place'); END;
CREATE TRIGGER IF NOT EXISTS binding_is_not_edited BEFORE UPDATE ON binding
BEGIN SELECT RAISE(ABORT, 'a binding is never edited: a later one takes its place'); END;

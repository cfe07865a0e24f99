-- Commands with set-points as they were sent, and the newest answer of the edge to each.

CREATE TABLE command (
    id TEXT PRIMARY KEY,
    facility TEXT NOT NULL,
    edge TEXT NOT NULL,
    counter INTEGER NOT NULL UNIQUE,
    asked_by TEXT NOT NULL,
    issued_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    firm INTEGER NOT NULL CHECK (firm IN (0, 1)),
    set_points TEXT NOT NULL,
    not_sent TEXT NOT NULL,
    revision INTEGER NOT NULL,
    answered_at_ms INTEGER,
    result TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX command_by_edge ON command (facility, edge, issued_at_ms);

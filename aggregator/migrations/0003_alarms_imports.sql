-- Alarms as they stand, and what was imported from which file.

CREATE TABLE alarm (
    id TEXT PRIMARY KEY,
    facility TEXT NOT NULL,
    code TEXT NOT NULL,
    source TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('unack', 'ack', 'rtn', 'normal')),
    raised_at_ms INTEGER NOT NULL,
    cleared_at_ms INTEGER,
    acknowledged_at_ms INTEGER,
    acknowledged_by TEXT NOT NULL,
    note TEXT NOT NULL,
    arguments TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alarm_by_time ON alarm (raised_at_ms);

CREATE TABLE import_run (
    id INTEGER PRIMARY KEY,
    file TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('interval', 'counter')),
    facility TEXT NOT NULL,
    device TEXT NOT NULL,
    quantity TEXT NOT NULL,
    rows_read INTEGER NOT NULL,
    rows_new INTEGER NOT NULL,
    rows_bad INTEGER NOT NULL,
    total TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

-- Factors and fuel parameters, each version for good; what has become of each is told by rows of its own.

CREATE TABLE IF NOT EXISTS source_doc (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    issuer TEXT NOT NULL,
    number TEXT NOT NULL,
    published_on TEXT NOT NULL,
    url TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    transcribed_by TEXT NOT NULL,
    checked_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS factor (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    gas TEXT NOT NULL,
    region TEXT NOT NULL,
    facility TEXT NOT NULL,
    variant TEXT NOT NULL,
    data_year INTEGER NOT NULL,
    begins_ms INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    unit TEXT NOT NULL,
    signal TEXT NOT NULL,
    boundary TEXT NOT NULL,
    valid_from_ms INTEGER,
    valid_to_ms INTEGER,
    known_from_ms INTEGER NOT NULL,
    source_doc TEXT NOT NULL REFERENCES source_doc (id),
    table_ref TEXT NOT NULL,
    table_sha256 TEXT NOT NULL,
    low TEXT,
    high TEXT,
    u95_percent TEXT,
    mark TEXT NOT NULL,
    supersedes INTEGER REFERENCES factor (no),
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    entered_by TEXT NOT NULL,
    recorded_at_ms INTEGER NOT NULL,
    UNIQUE (id, gas, region, facility, variant, data_year, begins_ms, version)
) STRICT;

CREATE TABLE IF NOT EXISTS standing (
    factor INTEGER NOT NULL REFERENCES factor (no),
    seq INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('draft', 'approved', 'withdrawn')),
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (factor, seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS factor_stays BEFORE DELETE ON factor
BEGIN SELECT RAISE(ABORT, 'a factor is never deleted: withdraw it'); END;
CREATE TRIGGER IF NOT EXISTS factor_is_not_edited BEFORE UPDATE ON factor
BEGIN SELECT RAISE(ABORT, 'a factor is never edited: import a correction'); END;
CREATE TRIGGER IF NOT EXISTS standing_stays BEFORE DELETE ON standing
BEGIN SELECT RAISE(ABORT, 'what became of a factor is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS standing_is_not_edited BEFORE UPDATE ON standing
BEGIN SELECT RAISE(ABORT, 'what became of a factor is never edited'); END;
CREATE TRIGGER IF NOT EXISTS source_doc_stays BEFORE DELETE ON source_doc
BEGIN SELECT RAISE(ABORT, 'a source document is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS source_doc_is_not_edited BEFORE UPDATE ON source_doc
BEGIN SELECT RAISE(ABORT, 'a source document is never edited'); END;

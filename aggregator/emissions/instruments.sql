-- Market instruments, and for whom each was retired: once, which the primary key of retirement holds.

CREATE TABLE IF NOT EXISTS instrument (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    mwh TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL CHECK (to_ms > from_ms),
    zone TEXT NOT NULL,
    kg_per_kwh TEXT NOT NULL,
    owner TEXT NOT NULL,
    registry_ref TEXT NOT NULL,
    evidence TEXT NOT NULL,
    entered_by TEXT NOT NULL,
    recorded_at_ms INTEGER NOT NULL,
    UNIQUE (type, registry_ref)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS retirement (
    instrument TEXT PRIMARY KEY REFERENCES instrument (id),
    facility TEXT NOT NULL,
    by TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS instrument_stays BEFORE DELETE ON instrument
BEGIN SELECT RAISE(ABORT, 'an instrument is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS instrument_is_not_edited BEFORE UPDATE ON instrument
BEGIN SELECT RAISE(ABORT, 'an instrument is never edited'); END;
CREATE TRIGGER IF NOT EXISTS retirement_stays BEFORE DELETE ON retirement
BEGIN SELECT RAISE(ABORT, 'a retirement is never taken back'); END;
CREATE TRIGGER IF NOT EXISTS retirement_is_not_edited BEFORE UPDATE ON retirement
BEGIN SELECT RAISE(ABORT, 'a retirement is never edited'); END;

-- What a reporting year's notice fixes for a regime, each version for good; who approved it is told by rows of its own.

CREATE TABLE IF NOT EXISTS notice (
    no INTEGER PRIMARY KEY,
    regime TEXT NOT NULL,
    year INTEGER NOT NULL,
    facility TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    place_level TEXT NOT NULL,
    factor_year_rule TEXT NOT NULL,
    submitted_by TEXT NOT NULL,
    restate_on_new_factor INTEGER NOT NULL,
    deducts_exports INTEGER NOT NULL,
    document TEXT NOT NULL,
    reason TEXT NOT NULL,
    by TEXT NOT NULL,
    recorded_at_ms INTEGER NOT NULL,
    UNIQUE (regime, year, facility, version)
) STRICT;

CREATE TABLE IF NOT EXISTS notice_approval (
    notice INTEGER PRIMARY KEY REFERENCES notice (no),
    by TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

CREATE TRIGGER IF NOT EXISTS notice_stays BEFORE DELETE ON notice
BEGIN SELECT RAISE(ABORT, 'a notice is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS notice_is_not_edited BEFORE UPDATE ON notice
BEGIN SELECT RAISE(ABORT, 'a notice is never edited: enter a correction'); END;
CREATE TRIGGER IF NOT EXISTS notice_approval_stays BEFORE DELETE ON notice_approval
BEGIN SELECT RAISE(ABORT, 'an approval is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS notice_approval_is_not_edited BEFORE UPDATE ON notice_approval
BEGIN SELECT RAISE(ABORT, 'an approval is never edited'); END;

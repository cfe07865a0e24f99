-- What a facility did where no meter counts it, each version for good; what has become of each is told by rows of its own.

CREATE TABLE IF NOT EXISTS activity (
    no INTEGER PRIMARY KEY,
    facility TEXT NOT NULL,
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    variant TEXT NOT NULL,
    from_day TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    to_day TEXT NOT NULL,
    class TEXT NOT NULL,
    sub_class TEXT NOT NULL,
    process TEXT NOT NULL,
    unit TEXT NOT NULL,
    quantity TEXT,
    opening TEXT,
    purchases TEXT,
    closing TEXT,
    resale TEXT,
    parameters TEXT NOT NULL,
    evidence TEXT NOT NULL,
    reason TEXT NOT NULL,
    by TEXT NOT NULL,
    recorded_at_ms INTEGER NOT NULL,
    UNIQUE (facility, source, kind, subject, variant, from_day, version)
) STRICT;

CREATE TABLE IF NOT EXISTS activity_standing (
    activity INTEGER NOT NULL REFERENCES activity (no),
    seq INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('approved', 'withdrawn')),
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (activity, seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS activity_stays BEFORE DELETE ON activity
BEGIN SELECT RAISE(ABORT, 'an activity is never deleted: withdraw it'); END;
CREATE TRIGGER IF NOT EXISTS activity_is_not_edited BEFORE UPDATE ON activity
BEGIN SELECT RAISE(ABORT, 'an activity is never edited: record a correction'); END;
CREATE TRIGGER IF NOT EXISTS activity_standing_stays BEFORE DELETE ON activity_standing
BEGIN SELECT RAISE(ABORT, 'what became of an activity is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS activity_standing_is_not_edited BEFORE UPDATE ON activity_standing
BEGIN SELECT RAISE(ABORT, 'what became of an activity is never edited'); END;

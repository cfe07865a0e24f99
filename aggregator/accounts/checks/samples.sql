-- Intervals drawn for people to check, and what they found; nothing is edited.

CREATE TABLE IF NOT EXISTS sample_draw (
    no INTEGER PRIMARY KEY,
    facility TEXT NOT NULL,
    device TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL CHECK (to_ms > from_ms),
    percent TEXT NOT NULL,
    seed TEXT NOT NULL CHECK (seed <> ''),
    population INTEGER NOT NULL,
    population_sha256 TEXT NOT NULL,
    by TEXT NOT NULL CHECK (by <> ''),
    drawn_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS sample (
    no INTEGER PRIMARY KEY,
    draw INTEGER NOT NULL REFERENCES sample_draw (no),
    device TEXT NOT NULL,
    quantity TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    version INTEGER NOT NULL,
    energy_kwh TEXT NOT NULL,
    quality TEXT NOT NULL,
    reason TEXT NOT NULL,
    UNIQUE (draw, device, quantity, start_ms, end_ms)
) STRICT;

CREATE TABLE IF NOT EXISTS sample_check (
    no INTEGER PRIMARY KEY,
    sample INTEGER NOT NULL REFERENCES sample (no),
    result TEXT NOT NULL CHECK (result IN ('agrees', 'differs', 'cannot_tell')),
    found_kwh TEXT,
    note TEXT NOT NULL,
    evidence TEXT NOT NULL CHECK (evidence <> ''),
    by TEXT NOT NULL CHECK (by <> ''),
    checked_at_ms INTEGER NOT NULL
) STRICT;

CREATE TRIGGER IF NOT EXISTS sample_draw_stays BEFORE DELETE ON sample_draw
BEGIN SELECT RAISE(ABORT, 'a draw is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS sample_draw_is_not_edited BEFORE UPDATE ON sample_draw
BEGIN SELECT RAISE(ABORT, 'a draw is never edited'); END;
CREATE TRIGGER IF NOT EXISTS sample_stays BEFORE DELETE ON sample
BEGIN SELECT RAISE(ABORT, 'a sample is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS sample_is_not_edited BEFORE UPDATE ON sample
BEGIN SELECT RAISE(ABORT, 'a sample is never edited'); END;
CREATE TRIGGER IF NOT EXISTS sample_check_stays BEFORE DELETE ON sample_check
BEGIN SELECT RAISE(ABORT, 'a check is never deleted: a later one takes its place'); END;
CREATE TRIGGER IF NOT EXISTS sample_check_is_not_edited BEFORE UPDATE ON sample_check
BEGIN SELECT RAISE(ABORT, 'a check is never edited: a later one takes its place'); END;

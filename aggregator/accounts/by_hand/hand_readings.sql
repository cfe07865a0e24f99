-- Displays of counters that people have read, and interval energies that people have entered; each version for good.
-- A correction is a higher version with its reason; a version without a value withdraws the one before.

CREATE TABLE IF NOT EXISTS hand_reading (
    no INTEGER PRIMARY KEY,
    facility TEXT NOT NULL,
    edge TEXT NOT NULL,
    device TEXT NOT NULL,
    quantity TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    display_kwh TEXT,
    evidence TEXT NOT NULL CHECK (evidence <> ''),
    reason TEXT NOT NULL CHECK (version = 1 OR reason <> ''),
    by TEXT NOT NULL CHECK (by <> ''),
    entered_at_ms INTEGER NOT NULL,
    UNIQUE (facility, edge, device, quantity, at_ms, version)
) STRICT;

CREATE TABLE IF NOT EXISTS hand_amount (
    no INTEGER PRIMARY KEY,
    facility TEXT NOT NULL,
    device TEXT NOT NULL,
    quantity TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL CHECK (end_ms > start_ms),
    version INTEGER NOT NULL CHECK (version > 0),
    energy_kwh TEXT NOT NULL,
    evidence TEXT NOT NULL CHECK (evidence <> ''),
    reason TEXT NOT NULL CHECK (version = 1 OR reason <> ''),
    by TEXT NOT NULL CHECK (by <> ''),
    entered_at_ms INTEGER NOT NULL,
    UNIQUE (facility, device, quantity, start_ms, end_ms, version)
) STRICT;

CREATE TRIGGER IF NOT EXISTS hand_reading_stays BEFORE DELETE ON hand_reading
BEGIN SELECT RAISE(ABORT, 'a reading by hand is never deleted: a later version withdraws it'); END;
CREATE TRIGGER IF NOT EXISTS hand_reading_is_not_edited BEFORE UPDATE ON hand_reading
BEGIN SELECT RAISE(ABORT, 'a reading by hand is never edited: a later version corrects it'); END;
CREATE TRIGGER IF NOT EXISTS hand_amount_stays BEFORE DELETE ON hand_amount
BEGIN SELECT RAISE(ABORT, 'an amount by hand is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS hand_amount_is_not_edited BEFORE UPDATE ON hand_amount
BEGIN SELECT RAISE(ABORT, 'an amount by hand is never edited: a later version corrects it'); END;

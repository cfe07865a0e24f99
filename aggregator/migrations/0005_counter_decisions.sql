-- What people have said that a counter did, and which of the counter algebra's own findings no longer stand.
-- A decision is never edited: a later one for the same instant of the same series supersedes it.

CREATE TABLE counter_decision (
    id INTEGER PRIMARY KEY,
    facility TEXT NOT NULL,
    edge TEXT NOT NULL,
    device TEXT NOT NULL,
    quantity TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    change TEXT NOT NULL CHECK (change IN ('no_change', 'rollover', 'reset', 'exchange', 'glitch', 'automatic')),
    modulus_kwh TEXT,
    old_last_kwh TEXT,
    new_first_kwh TEXT,
    until_ms INTEGER,
    reason TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    decided_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX counter_decision_by_series ON counter_decision (facility, edge, device, quantity, at_ms);

CREATE TRIGGER counter_decision_stays BEFORE DELETE ON counter_decision
BEGIN SELECT RAISE(ABORT, 'a counter decision is never deleted'); END;
CREATE TRIGGER counter_decision_is_not_edited BEFORE UPDATE ON counter_decision
BEGIN SELECT RAISE(ABORT, 'a counter decision is never edited: a later one supersedes it'); END;

ALTER TABLE counter_event ADD COLUMN superseded_at_ms INTEGER;

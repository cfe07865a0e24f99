-- Carbon pools: states at the end of local days, contents that a battery's management has stated, vehicles that stood at a meter. Rows are only added.

CREATE TABLE IF NOT EXISTS pool_state (
    facility TEXT NOT NULL,
    profile TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    known_ms INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (facility, profile, fingerprint, at_ms, known_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS pool_anchor (
    no INTEGER PRIMARY KEY,
    facility TEXT NOT NULL,
    device TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    kwh TEXT NOT NULL,
    evidence TEXT NOT NULL,
    by TEXT NOT NULL,
    recorded_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS pool_anchor_by_time ON pool_anchor (facility, at_ms);

-- The row of pool_anchor that was taken back.
CREATE TABLE IF NOT EXISTS pool_anchor_withdrawal (
    anchor INTEGER PRIMARY KEY REFERENCES pool_anchor (no),
    reason TEXT NOT NULL,
    by TEXT NOT NULL,
    recorded_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS plug_in (
    no INTEGER PRIMARY KEY,
    facility TEXT NOT NULL,
    device TEXT NOT NULL,
    id TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER CHECK (end_ms IS NULL OR end_ms > start_ms),
    arrival_kwh TEXT,
    evidence TEXT NOT NULL,
    by TEXT NOT NULL,
    recorded_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS plug_in_by_time ON plug_in (facility, start_ms);

CREATE TRIGGER IF NOT EXISTS pool_state_stays BEFORE DELETE ON pool_state
BEGIN SELECT RAISE(ABORT, 'a pool state is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS pool_state_is_not_edited BEFORE UPDATE ON pool_state
BEGIN SELECT RAISE(ABORT, 'a pool state is never edited'); END;
CREATE TRIGGER IF NOT EXISTS pool_anchor_stays BEFORE DELETE ON pool_anchor
BEGIN SELECT RAISE(ABORT, 'a stated content is never deleted: withdraw it'); END;
CREATE TRIGGER IF NOT EXISTS pool_anchor_is_not_edited BEFORE UPDATE ON pool_anchor
BEGIN SELECT RAISE(ABORT, 'a stated content is never edited: state another'); END;
CREATE TRIGGER IF NOT EXISTS pool_anchor_withdrawal_stays BEFORE DELETE ON pool_anchor_withdrawal
BEGIN SELECT RAISE(ABORT, 'a withdrawal is never deleted: state the content again'); END;
CREATE TRIGGER IF NOT EXISTS pool_anchor_withdrawal_is_not_edited BEFORE UPDATE ON pool_anchor_withdrawal
BEGIN SELECT RAISE(ABORT, 'a withdrawal is never edited: state the content again'); END;
CREATE TRIGGER IF NOT EXISTS plug_in_stays BEFORE DELETE ON plug_in
BEGIN SELECT RAISE(ABORT, 'a plug-in is never deleted: record it again'); END;
CREATE TRIGGER IF NOT EXISTS plug_in_is_not_edited BEFORE UPDATE ON plug_in
BEGIN SELECT RAISE(ABORT, 'a plug-in is never edited: record it again'); END;

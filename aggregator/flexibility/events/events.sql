-- Demand-response events with their versions and states, commitments and settlements, and overrides; nothing is ever edited.

CREATE TABLE IF NOT EXISTS response_event (
    no INTEGER NOT NULL CHECK (no > 0),
    version INTEGER NOT NULL CHECK (version > 0),
    facility TEXT NOT NULL,
    source TEXT NOT NULL,
    external_id TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL CHECK (to_ms > from_ms),
    said TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (no, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS response_step (
    event INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    by TEXT NOT NULL CHECK (by <> ''),
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (event, seq),
    FOREIGN KEY (event, version) REFERENCES response_event (no, version)
) STRICT, WITHOUT ROWID;

-- `leaf`: the bytes in the audit log; `inputs`: the intervals that they hash, compressed.
CREATE TABLE IF NOT EXISTS response_commitment (
    no INTEGER PRIMARY KEY CHECK (no > 0),
    event INTEGER NOT NULL,
    version INTEGER NOT NULL,
    leaf TEXT NOT NULL,
    inputs BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    UNIQUE (event, version)
) STRICT;

CREATE TABLE IF NOT EXISTS response_settlement (
    no INTEGER PRIMARY KEY CHECK (no > 0),
    event INTEGER NOT NULL,
    version INTEGER NOT NULL,
    leaf TEXT NOT NULL,
    result TEXT NOT NULL,
    metered BLOB NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

-- What was reported while an event ran: `content` is JSON of the figures as they were known then.
CREATE TABLE IF NOT EXISTS response_report (
    no INTEGER PRIMARY KEY CHECK (no > 0),
    event INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('shortfall', 'recovered')),
    content TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    FOREIGN KEY (event, version) REFERENCES response_event (no, version)
) STRICT;

CREATE TABLE IF NOT EXISTS plan_override (
    no INTEGER PRIMARY KEY CHECK (no > 0),
    facility TEXT NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('asset', 'branch', 'facility')),
    name TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('leave_out', 'hold', 'stop')),
    kw REAL,
    from_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL CHECK (until_ms > from_ms),
    reason TEXT NOT NULL CHECK (reason <> ''),
    by TEXT NOT NULL CHECK (by <> ''),
    at_ms INTEGER NOT NULL,
    CHECK ((what = 'hold') = (kw IS NOT NULL))
) STRICT;

CREATE TABLE IF NOT EXISTS plan_override_end (
    override INTEGER PRIMARY KEY REFERENCES plan_override (no),
    by TEXT NOT NULL CHECK (by <> ''),
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS response_event_of ON response_event (facility, from_ms);
CREATE UNIQUE INDEX IF NOT EXISTS response_event_named ON response_event (facility, source, external_id, version) WHERE external_id <> '';

CREATE TRIGGER IF NOT EXISTS response_event_stays BEFORE DELETE ON response_event
BEGIN SELECT RAISE(ABORT, 'an event is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS response_event_is_not_edited BEFORE UPDATE ON response_event
BEGIN SELECT RAISE(ABORT, 'an event is never edited: a later version takes its place'); END;
CREATE TRIGGER IF NOT EXISTS response_step_stays BEFORE DELETE ON response_step
BEGIN SELECT RAISE(ABORT, 'what became of an event is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS response_step_is_not_edited BEFORE UPDATE ON response_step
BEGIN SELECT RAISE(ABORT, 'what became of an event is never edited'); END;
CREATE TRIGGER IF NOT EXISTS response_commitment_stays BEFORE DELETE ON response_commitment
BEGIN SELECT RAISE(ABORT, 'a commitment is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS response_commitment_is_not_edited BEFORE UPDATE ON response_commitment
BEGIN SELECT RAISE(ABORT, 'a commitment is never edited'); END;
CREATE TRIGGER IF NOT EXISTS response_settlement_stays BEFORE DELETE ON response_settlement
BEGIN SELECT RAISE(ABORT, 'a settlement is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS response_settlement_is_not_edited BEFORE UPDATE ON response_settlement
BEGIN SELECT RAISE(ABORT, 'a settlement is never edited: a later one takes its place'); END;
CREATE TRIGGER IF NOT EXISTS response_report_stays BEFORE DELETE ON response_report
BEGIN SELECT RAISE(ABORT, 'a report is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS response_report_is_not_edited BEFORE UPDATE ON response_report
BEGIN SELECT RAISE(ABORT, 'a report is never edited: a later one takes its place'); END;
CREATE TRIGGER IF NOT EXISTS plan_override_stays BEFORE DELETE ON plan_override
BEGIN SELECT RAISE(ABORT, 'an override is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS plan_override_is_not_edited BEFORE UPDATE ON plan_override
BEGIN SELECT RAISE(ABORT, 'an override is never edited: end it'); END;
CREATE TRIGGER IF NOT EXISTS plan_override_end_stays BEFORE DELETE ON plan_override_end
BEGIN SELECT RAISE(ABORT, 'an end is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS plan_override_end_is_not_edited BEFORE UPDATE ON plan_override_end
BEGIN SELECT RAISE(ABORT, 'an end is never edited'); END;

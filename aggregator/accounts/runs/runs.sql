-- Runs and publications, each for good; what has become of a run is told by rows of its own.

CREATE TABLE IF NOT EXISTS calc_run (
    no INTEGER PRIMARY KEY CHECK (no > 0),
    facility TEXT NOT NULL,
    profile TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    as_of_ms INTEGER NOT NULL,
    factors_as_of_ms INTEGER NOT NULL,
    kg TEXT,
    statement BLOB NOT NULL,
    statement_sha256 TEXT NOT NULL,
    rules TEXT NOT NULL,
    factor_set_sha256 TEXT NOT NULL,
    series TEXT NOT NULL,
    input_root TEXT NOT NULL,
    watermark_ms INTEGER,
    marks TEXT NOT NULL,
    code_version TEXT NOT NULL,
    supersedes INTEGER REFERENCES calc_run (no),
    restates INTEGER REFERENCES publication (no),
    causes TEXT NOT NULL,
    threshold_percent TEXT NOT NULL,
    reason TEXT NOT NULL,
    operator TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS run_state (
    run INTEGER NOT NULL REFERENCES calc_run (no),
    seq INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('provisional', 'settled', 'approved', 'published', 'restated')),
    by TEXT NOT NULL,
    note TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS publication (
    no INTEGER PRIMARY KEY CHECK (no > 0),
    run INTEGER NOT NULL UNIQUE REFERENCES calc_run (no),
    supersedes INTEGER UNIQUE REFERENCES publication (no),
    carries TEXT NOT NULL,
    note TEXT NOT NULL,
    by TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS calc_run_of ON calc_run (facility, profile, from_ms);

CREATE TRIGGER IF NOT EXISTS calc_run_stays BEFORE DELETE ON calc_run
BEGIN SELECT RAISE(ABORT, 'a run is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS calc_run_is_not_edited BEFORE UPDATE ON calc_run
BEGIN SELECT RAISE(ABORT, 'a run is never edited: make another'); END;
CREATE TRIGGER IF NOT EXISTS run_state_stays BEFORE DELETE ON run_state
BEGIN SELECT RAISE(ABORT, 'what became of a run is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS run_state_is_not_edited BEFORE UPDATE ON run_state
BEGIN SELECT RAISE(ABORT, 'what became of a run is never edited'); END;
CREATE TRIGGER IF NOT EXISTS publication_stays BEFORE DELETE ON publication
BEGIN SELECT RAISE(ABORT, 'a publication is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS publication_is_not_edited BEFORE UPDATE ON publication
BEGIN SELECT RAISE(ABORT, 'a publication is never edited: restate it'); END;

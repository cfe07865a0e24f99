-- What the program itself has used, span by span, as measured; what it draws per core is what the settings said at that time.

CREATE TABLE IF NOT EXISTS own_span (
    no INTEGER PRIMARY KEY,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL CHECK (to_ms >= from_ms),
    real_s TEXT NOT NULL,
    cpu_s TEXT NOT NULL,
    store_bytes INTEGER NOT NULL,
    machine TEXT NOT NULL -- JSON of the settings' [footprint]; '' where there is none
) STRICT;

CREATE INDEX IF NOT EXISTS own_span_in_time ON own_span (from_ms);

CREATE TABLE IF NOT EXISTS own_share (
    span INTEGER NOT NULL REFERENCES own_span (no),
    facility TEXT NOT NULL,
    readings INTEGER NOT NULL,
    received_bytes INTEGER NOT NULL,
    PRIMARY KEY (span, facility)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS gateway_span (
    no INTEGER PRIMARY KEY,
    facility TEXT NOT NULL,
    edge TEXT NOT NULL,
    device TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    counter_kwh TEXT NOT NULL, -- the gateway's own count at to_ms
    energy_kwh TEXT -- NULL: the count began anew, so nothing is known of the span
) STRICT;

CREATE INDEX IF NOT EXISTS gateway_span_in_time ON gateway_span (from_ms);

-- Heavy work that could wait: when it was due, when it ran, and the processor time that it took.
CREATE TABLE IF NOT EXISTS own_job (
    no INTEGER PRIMARY KEY,
    work TEXT NOT NULL,
    due_ms INTEGER NOT NULL,
    begun_ms INTEGER NOT NULL CHECK (begun_ms >= due_ms),
    cpu_s TEXT NOT NULL,
    machine TEXT NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS own_job_in_time ON own_job (begun_ms);

CREATE TRIGGER IF NOT EXISTS own_job_is_never_edited BEFORE UPDATE ON own_job
BEGIN SELECT RAISE(ABORT, 'what was used is never edited'); END;
CREATE TRIGGER IF NOT EXISTS own_job_is_never_removed BEFORE DELETE ON own_job
BEGIN SELECT RAISE(ABORT, 'what was used is never removed'); END;
CREATE TRIGGER IF NOT EXISTS own_span_is_never_edited BEFORE UPDATE ON own_span
BEGIN SELECT RAISE(ABORT, 'what was used is never edited'); END;
CREATE TRIGGER IF NOT EXISTS own_span_is_never_removed BEFORE DELETE ON own_span
BEGIN SELECT RAISE(ABORT, 'what was used is never removed'); END;
CREATE TRIGGER IF NOT EXISTS own_share_is_never_edited BEFORE UPDATE ON own_share
BEGIN SELECT RAISE(ABORT, 'what was used is never edited'); END;
CREATE TRIGGER IF NOT EXISTS own_share_is_never_removed BEFORE DELETE ON own_share
BEGIN SELECT RAISE(ABORT, 'what was used is never removed'); END;
CREATE TRIGGER IF NOT EXISTS gateway_span_is_never_edited BEFORE UPDATE ON gateway_span
BEGIN SELECT RAISE(ABORT, 'what was used is never edited'); END;
CREATE TRIGGER IF NOT EXISTS gateway_span_is_never_removed BEFORE DELETE ON gateway_span
BEGIN SELECT RAISE(ABORT, 'what was used is never removed'); END;

-- Hourly grid intensity by zone. A provider that changes its mind adds a later vintage; none is ever edited.

CREATE TABLE IF NOT EXISTS grid_intensity (
    zone TEXT NOT NULL,
    signal TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL CHECK (end_ms > start_ms),
    provider TEXT NOT NULL,
    published_at_ms INTEGER NOT NULL,
    kg_per_kwh TEXT NOT NULL,
    boundary TEXT NOT NULL,
    estimated INTEGER NOT NULL CHECK (estimated IN (0, 1)),
    entered_by TEXT NOT NULL,
    recorded_at_ms INTEGER NOT NULL,
    PRIMARY KEY (zone, signal, start_ms, provider, published_at_ms)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS grid_intensity_stays BEFORE DELETE ON grid_intensity
BEGIN SELECT RAISE(ABORT, 'an intensity is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS grid_intensity_is_not_edited BEFORE UPDATE ON grid_intensity
BEGIN SELECT RAISE(ABORT, 'an intensity is never edited: import a later vintage'); END;

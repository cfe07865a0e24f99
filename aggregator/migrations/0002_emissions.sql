-- Emission factors with their documents, which factor applied where and why, and what was booked with it.

CREATE TABLE source_doc (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    issuer TEXT NOT NULL,
    number TEXT NOT NULL,
    published_on TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- An annual factor has a region and a data year, a facility's own factor has the facility and its validity instead.
CREATE TABLE factor_version (
    factor_id TEXT NOT NULL,
    region TEXT NOT NULL,
    facility TEXT NOT NULL DEFAULT '',
    data_year INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL,
    value TEXT NOT NULL,
    unit TEXT NOT NULL CHECK (unit = 'kg/kWh'),
    signal TEXT NOT NULL,
    valid_from_ms INTEGER,
    valid_to_ms INTEGER,
    known_from_ms INTEGER,
    source_doc TEXT REFERENCES source_doc (id),
    source TEXT NOT NULL,
    table_ref TEXT NOT NULL,
    PRIMARY KEY (factor_id, region, facility, data_year, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE resolution (
    id INTEGER PRIMARY KEY,
    facility TEXT NOT NULL,
    tier TEXT NOT NULL,
    factor_id TEXT NOT NULL,
    factor_version INTEGER NOT NULL,
    region TEXT NOT NULL,
    kg_per_kwh TEXT,
    data_year INTEGER,
    source TEXT NOT NULL,
    marks TEXT NOT NULL,
    skipped TEXT NOT NULL,
    UNIQUE (facility, tier, factor_id, factor_version, region, kg_per_kwh, data_year, source, marks, skipped)
) STRICT;

CREATE TABLE emission (
    facility TEXT NOT NULL,
    device TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL CHECK (end_ms > start_ms),
    version INTEGER NOT NULL,
    profile TEXT NOT NULL,
    energy_kwh TEXT NOT NULL,
    kg TEXT,
    resolution INTEGER NOT NULL REFERENCES resolution (id),
    state TEXT NOT NULL CHECK (state IN ('provisional', 'final')),
    recorded_at_ms INTEGER NOT NULL,
    superseded_at_ms INTEGER,
    PRIMARY KEY (facility, start_ms, device, end_ms, version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER factor_stays BEFORE DELETE ON factor_version
BEGIN SELECT RAISE(ABORT, 'a factor is never deleted: append a higher version'); END;
CREATE TRIGGER factor_is_not_edited BEFORE UPDATE ON factor_version
BEGIN SELECT RAISE(ABORT, 'a factor is never edited: append a higher version'); END;
CREATE TRIGGER source_doc_stays BEFORE DELETE ON source_doc
BEGIN SELECT RAISE(ABORT, 'a source document is never deleted'); END;
CREATE TRIGGER source_doc_is_not_edited BEFORE UPDATE ON source_doc
BEGIN SELECT RAISE(ABORT, 'a source document is never edited'); END;
CREATE TRIGGER resolution_stays BEFORE DELETE ON resolution
BEGIN SELECT RAISE(ABORT, 'a resolution is never deleted'); END;
CREATE TRIGGER resolution_is_not_edited BEFORE UPDATE ON resolution
BEGIN SELECT RAISE(ABORT, 'a resolution is never edited'); END;

CREATE TRIGGER final_emission_stays BEFORE DELETE ON emission WHEN OLD.state = 'final'
BEGIN SELECT RAISE(ABORT, 'a final emission is never deleted'); END;

CREATE TRIGGER final_emission_is_not_edited BEFORE UPDATE ON emission
WHEN OLD.state = 'final' AND (OLD.superseded_at_ms IS NOT NULL OR NEW.superseded_at_ms IS NULL
    OR NEW.kg IS NOT OLD.kg OR NEW.energy_kwh IS NOT OLD.energy_kwh OR NEW.resolution IS NOT OLD.resolution
    OR NEW.state IS NOT OLD.state)
BEGIN SELECT RAISE(ABORT, 'a final emission is superseded, not edited'); END;

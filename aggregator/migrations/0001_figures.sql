-- Boundaries, interval energies, counter events and the state from which each series goes on.
-- Decimals are TEXT. A final figure is never changed: it is superseded by a higher version, and both stay.

CREATE TABLE boundary_value (
    facility TEXT NOT NULL,
    edge TEXT NOT NULL,
    device TEXT NOT NULL,
    quantity TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    version INTEGER NOT NULL,
    value TEXT NOT NULL,
    quality INTEGER NOT NULL,
    reason TEXT NOT NULL,
    how TEXT NOT NULL,
    recorded_at_ms INTEGER NOT NULL,
    superseded_at_ms INTEGER,
    PRIMARY KEY (facility, edge, device, quantity, at_ms, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE interval_energy (
    facility TEXT NOT NULL,
    device TEXT NOT NULL,
    quantity TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL CHECK (end_ms > start_ms),
    version INTEGER NOT NULL,
    energy_kwh TEXT NOT NULL,
    quality INTEGER NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('provisional', 'final')),
    source TEXT NOT NULL CHECK (source IN ('measured', 'import')),
    recorded_at_ms INTEGER NOT NULL,
    superseded_at_ms INTEGER,
    PRIMARY KEY (facility, device, quantity, start_ms, end_ms, version)
) STRICT, WITHOUT ROWID;

CREATE INDEX interval_energy_by_time ON interval_energy (facility, quantity, start_ms);

CREATE TABLE counter_event (
    facility TEXT NOT NULL,
    edge TEXT NOT NULL,
    device TEXT NOT NULL,
    quantity TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    change TEXT NOT NULL,
    before_ms INTEGER NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    substituted_kwh TEXT,
    recorded_at_ms INTEGER NOT NULL,
    PRIMARY KEY (facility, edge, device, quantity, at_ms, change)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoint (
    facility TEXT NOT NULL,
    edge TEXT NOT NULL,
    device TEXT NOT NULL,
    quantity TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (facility, edge, device, quantity, at_ms)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER boundary_value_stays BEFORE DELETE ON boundary_value
BEGIN SELECT RAISE(ABORT, 'a boundary value is never deleted'); END;

CREATE TRIGGER boundary_value_is_not_edited BEFORE UPDATE ON boundary_value
WHEN OLD.superseded_at_ms IS NOT NULL OR NEW.superseded_at_ms IS NULL
    OR NEW.value IS NOT OLD.value OR NEW.quality IS NOT OLD.quality OR NEW.reason IS NOT OLD.reason
BEGIN SELECT RAISE(ABORT, 'a boundary value is superseded, not edited'); END;

CREATE TRIGGER final_interval_stays BEFORE DELETE ON interval_energy WHEN OLD.state = 'final'
BEGIN SELECT RAISE(ABORT, 'a final interval energy is never deleted'); END;

CREATE TRIGGER final_interval_is_not_edited BEFORE UPDATE ON interval_energy
WHEN OLD.state = 'final' AND (OLD.superseded_at_ms IS NOT NULL OR NEW.superseded_at_ms IS NULL
    OR NEW.energy_kwh IS NOT OLD.energy_kwh OR NEW.quality IS NOT OLD.quality OR NEW.reason IS NOT OLD.reason
    OR NEW.state IS NOT OLD.state OR NEW.source IS NOT OLD.source)
BEGIN SELECT RAISE(ABORT, 'a final interval energy is superseded, not edited'); END;

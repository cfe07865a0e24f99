-- Interval energies may be estimated or read by hand. The check on `source` can only change with the table, so the rows move to a new one.

CREATE TABLE interval_energy_moved (
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
    source TEXT NOT NULL CHECK (source IN ('measured', 'import', 'manual', 'estimate')),
    recorded_at_ms INTEGER NOT NULL,
    superseded_at_ms INTEGER,
    PRIMARY KEY (facility, device, quantity, start_ms, end_ms, version)
) STRICT, WITHOUT ROWID;

INSERT INTO interval_energy_moved SELECT facility, device, quantity, start_ms, end_ms, version, energy_kwh, quality, reason, state, source,
    recorded_at_ms, superseded_at_ms FROM interval_energy;
DROP TABLE interval_energy;
ALTER TABLE interval_energy_moved RENAME TO interval_energy;

CREATE INDEX interval_energy_by_time ON interval_energy (facility, quantity, start_ms);

CREATE TRIGGER final_interval_stays BEFORE DELETE ON interval_energy WHEN OLD.state = 'final'
BEGIN SELECT RAISE(ABORT, 'a final interval energy is never deleted'); END;

CREATE TRIGGER final_interval_is_not_edited BEFORE UPDATE ON interval_energy
WHEN OLD.state = 'final' AND (OLD.superseded_at_ms IS NOT NULL OR NEW.superseded_at_ms IS NULL
    OR NEW.energy_kwh IS NOT OLD.energy_kwh OR NEW.quality IS NOT OLD.quality OR NEW.reason IS NOT OLD.reason
    OR NEW.state IS NOT OLD.state OR NEW.source IS NOT OLD.source)
BEGIN SELECT RAISE(ABORT, 'a final interval energy is superseded, not edited'); END;

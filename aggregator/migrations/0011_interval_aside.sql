-- Figures that are known of an interval and do not stand, because another one ranks above them (see `aggregator.precedence`). `known_ms`: when the
-- figure came; `ended_ms`: when it stood again or gave way to another one of its source.

CREATE TABLE interval_aside (
    facility TEXT NOT NULL,
    device TEXT NOT NULL,
    quantity TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL CHECK (end_ms > start_ms),
    source TEXT NOT NULL CHECK (source IN ('measured', 'import', 'manual')),
    version INTEGER NOT NULL,
    energy_kwh TEXT NOT NULL,
    quality INTEGER NOT NULL,
    reason TEXT NOT NULL,
    known_ms INTEGER NOT NULL,
    aside_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    PRIMARY KEY (facility, device, quantity, start_ms, end_ms, source, version)
) STRICT, WITHOUT ROWID;

-- Imports in whose place another figure stands already.
INSERT INTO interval_aside SELECT facility, device, quantity, start_ms, end_ms, source, 1, energy_kwh, quality, reason, recorded_at_ms, superseded_at_ms, NULL
FROM interval_energy AS one WHERE source = 'import' AND superseded_at_ms IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM interval_energy AS other WHERE other.facility = one.facility AND other.device = one.device AND other.quantity = one.quantity
        AND other.start_ms = one.start_ms AND other.end_ms = one.end_ms AND other.source = 'import' AND other.version > one.version
);

CREATE TRIGGER interval_aside_stays BEFORE DELETE ON interval_aside
BEGIN SELECT RAISE(ABORT, 'what is known of an interval is never deleted'); END;

CREATE TRIGGER interval_aside_is_not_edited BEFORE UPDATE ON interval_aside
WHEN OLD.ended_ms IS NOT NULL OR NEW.ended_ms IS NULL OR NEW.energy_kwh IS NOT OLD.energy_kwh OR NEW.quality IS NOT OLD.quality
    OR NEW.reason IS NOT OLD.reason OR NEW.source IS NOT OLD.source OR NEW.known_ms IS NOT OLD.known_ms
BEGIN SELECT RAISE(ABORT, 'what is known of an interval is ended, not edited'); END;

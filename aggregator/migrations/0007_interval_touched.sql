-- When the interval energies of a UTC day were last changed, so that a sealed period is known to hold them still without reading them.

CREATE TABLE interval_touched (
    facility TEXT NOT NULL,
    day INTEGER NOT NULL,
    changed_at_ms INTEGER NOT NULL,
    PRIMARY KEY (facility, day)
) STRICT, WITHOUT ROWID;

INSERT INTO interval_touched SELECT facility, start_ms / 86400000, max(max(recorded_at_ms), coalesce(max(superseded_at_ms), 0))
FROM interval_energy GROUP BY facility, start_ms / 86400000;

-- What sink projects took up in a period, in versions that are only added.

CREATE TABLE IF NOT EXISTS sink (
    project TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL CHECK (to_ms > from_ms),
    version INTEGER NOT NULL CHECK (version > 0),
    methodology TEXT NOT NULL,
    project_t TEXT NOT NULL,
    baseline_t TEXT NOT NULL,
    leakage_t TEXT NOT NULL,
    vintage INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    reason TEXT NOT NULL,
    entered_by TEXT NOT NULL,
    recorded_at_ms INTEGER NOT NULL,
    PRIMARY KEY (project, from_ms, version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS sink_stays BEFORE DELETE ON sink
BEGIN SELECT RAISE(ABORT, 'a sink is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS sink_is_not_edited BEFORE UPDATE ON sink
BEGIN SELECT RAISE(ABORT, 'a sink is never edited: import a correction'); END;

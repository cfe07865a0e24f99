-- Periods of a facility whose interval energies are sealed, each version for good, and the files that hold them.

CREATE TABLE IF NOT EXISTS seal (
    facility TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL CHECK (to_ms > from_ms),
    version INTEGER NOT NULL CHECK (version > 0),
    sealed_at_ms INTEGER NOT NULL,
    changed_at_ms INTEGER,          -- when the first change since the version before was recorded; null of the first version
    row_count INTEGER NOT NULL,
    sha256 TEXT NOT NULL,           -- of the canonical rows, in order
    sealed_by TEXT NOT NULL,
    PRIMARY KEY (facility, from_ms, to_ms, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS sealed_file (
    facility TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    version INTEGER NOT NULL,
    place INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    row_count INTEGER NOT NULL,
    sha256 TEXT NOT NULL,           -- of the file
    first_device TEXT NOT NULL,
    last_device TEXT NOT NULL,
    PRIMARY KEY (facility, from_ms, to_ms, version, place),
    FOREIGN KEY (facility, from_ms, to_ms, version) REFERENCES seal (facility, from_ms, to_ms, version)
) STRICT, WITHOUT ROWID;

-- Versions whose files are lost or were changed: the ledger answers for them.
CREATE TABLE IF NOT EXISTS seal_given_up (
    facility TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    version INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    given_up_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (facility, from_ms, to_ms, version),
    FOREIGN KEY (facility, from_ms, to_ms, version) REFERENCES seal (facility, from_ms, to_ms, version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS seal_given_up_stays BEFORE DELETE ON seal_given_up
BEGIN SELECT RAISE(ABORT, 'what was given up stays so: seal again'); END;
CREATE TRIGGER IF NOT EXISTS seal_given_up_is_not_edited BEFORE UPDATE ON seal_given_up
BEGIN SELECT RAISE(ABORT, 'what was given up stays so: seal again'); END;
CREATE TRIGGER IF NOT EXISTS seal_stays BEFORE DELETE ON seal
BEGIN SELECT RAISE(ABORT, 'a seal is never deleted: seal again'); END;
CREATE TRIGGER IF NOT EXISTS seal_is_not_edited BEFORE UPDATE ON seal
BEGIN SELECT RAISE(ABORT, 'a seal is never edited: seal again'); END;
CREATE TRIGGER IF NOT EXISTS sealed_file_stays BEFORE DELETE ON sealed_file
BEGIN SELECT RAISE(ABORT, 'a sealed file is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS sealed_file_is_not_edited BEFORE UPDATE ON sealed_file
BEGIN SELECT RAISE(ABORT, 'a sealed file is never edited'); END;

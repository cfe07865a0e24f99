CREATE TABLE IF NOT EXISTS plan (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    facility TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    status TEXT NOT NULL,
    triggers TEXT NOT NULL,
    problem_sha256 TEXT NOT NULL,
    plan_sha256 TEXT NOT NULL,
    circuit_sha256 TEXT NOT NULL,
    money REAL NOT NULL,
    summary BLOB NOT NULL,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS plan_of ON plan (facility, made_ms);

-- state: sent | not_sent | taken | refused | unanswered | superseded
CREATE TABLE IF NOT EXISTS schedule (
    id TEXT PRIMARY KEY,
    plan INTEGER NOT NULL,
    facility TEXT NOT NULL,
    edge TEXT NOT NULL,
    number INTEGER NOT NULL,
    issued_at_ms INTEGER NOT NULL,
    valid_until_ms INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    content BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS schedule_of ON schedule (plan);
CREATE INDEX IF NOT EXISTS schedule_edge ON schedule (facility, edge, number);

CREATE TABLE IF NOT EXISTS offered (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    facility TEXT NOT NULL,
    plan INTEGER NOT NULL,
    made_ms INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS offered_of ON offered (facility, made_ms);

CREATE TABLE IF NOT EXISTS declared_stay (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    facility TEXT NOT NULL,
    asset TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    said_by TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS declared_of ON declared_stay (facility, asset, no);

CREATE TABLE IF NOT EXISTS told_price (
    facility TEXT NOT NULL,
    version TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    said_by TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    import_price REAL NOT NULL,
    export_price REAL
) STRICT;
CREATE INDEX IF NOT EXISTS told_of ON told_price (facility, start_ms);

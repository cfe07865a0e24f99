-- What people outside doubt about a figure, and what was answered; nothing is edited.

CREATE TABLE IF NOT EXISTS challenge (
    no INTEGER PRIMARY KEY,
    facility TEXT NOT NULL,
    about TEXT NOT NULL CHECK (about <> ''),
    text TEXT NOT NULL CHECK (text <> ''),
    contact TEXT NOT NULL,
    received_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS challenge_answer (
    no INTEGER PRIMARY KEY,
    challenge INTEGER NOT NULL REFERENCES challenge (no),
    state TEXT NOT NULL CHECK (state IN ('looked_into', 'upheld', 'rejected')),
    text TEXT NOT NULL CHECK (text <> ''),
    by TEXT NOT NULL CHECK (by <> ''),
    answered_at_ms INTEGER NOT NULL
) STRICT;

CREATE TRIGGER IF NOT EXISTS challenge_stays BEFORE DELETE ON challenge
BEGIN SELECT RAISE(ABORT, 'a challenge is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS challenge_is_not_edited BEFORE UPDATE ON challenge
BEGIN SELECT RAISE(ABORT, 'a challenge is never edited'); END;
CREATE TRIGGER IF NOT EXISTS challenge_answer_stays BEFORE DELETE ON challenge_answer
BEGIN SELECT RAISE(ABORT, 'an answer is never deleted: a later one takes its place'); END;
CREATE TRIGGER IF NOT EXISTS challenge_answer_is_not_edited BEFORE UPDATE ON challenge_answer
BEGIN SELECT RAISE(ABORT, 'an answer is never edited: a later one takes its place'); END;

-- Factor packs as they were issued to edges; the numbers of an edge only rise.

CREATE TABLE factor_pack (
    facility TEXT NOT NULL,
    edge TEXT NOT NULL,
    number INTEGER NOT NULL,
    issued_at_ms INTEGER NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (facility, edge, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER factor_pack_stays BEFORE DELETE ON factor_pack
BEGIN SELECT RAISE(ABORT, 'a factor pack that was issued is never deleted'); END;
CREATE TRIGGER factor_pack_is_not_edited BEFORE UPDATE ON factor_pack
BEGIN SELECT RAISE(ABORT, 'a factor pack that was issued is never edited'); END;

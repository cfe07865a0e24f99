-- Why an import corrects figures that were imported before, and who says so.

ALTER TABLE import_run ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE import_run ADD COLUMN by TEXT NOT NULL DEFAULT '';

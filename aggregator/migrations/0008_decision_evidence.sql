-- What shows that a decision on a counter is right: a photo, a work order, the seal's number.

ALTER TABLE counter_decision ADD COLUMN evidence TEXT NOT NULL DEFAULT '';

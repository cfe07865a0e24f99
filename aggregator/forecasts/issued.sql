-- Forecasts as they were issued, each vintage for good: what was said is measured later against what came.

CREATE TABLE IF NOT EXISTS issued_forecast (
    no INTEGER PRIMARY KEY,
    facility TEXT NOT NULL,
    device TEXT NOT NULL, -- '' for all main meters together
    day TEXT NOT NULL,
    lead_days INTEGER NOT NULL CHECK (lead_days > 0),
    issued_at_ms INTEGER NOT NULL,
    method TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS issued_forecast_of_day ON issued_forecast (facility, device, day, lead_days);

CREATE TRIGGER IF NOT EXISTS issued_forecast_is_never_edited BEFORE UPDATE ON issued_forecast
BEGIN
    SELECT RAISE(ABORT, 'a forecast that was issued is never edited');
END;

CREATE TRIGGER IF NOT EXISTS issued_forecast_is_never_removed BEFORE DELETE ON issued_forecast
BEGIN
    SELECT RAISE(ABORT, 'a forecast that was issued is never removed');
END;

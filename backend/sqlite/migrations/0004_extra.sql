-- oldest 3
-- What the engine keeps with an execution and the store does not look into: JSON.

ALTER TABLE execution ADD COLUMN extra TEXT;

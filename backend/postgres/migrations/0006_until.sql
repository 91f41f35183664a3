-- oldest 2
-- How long the beginning of a task counts for the rate that it began under: calls of one activity may have several.

ALTER TABLE task_begun ADD COLUMN until timestamptz;

-- oldest 2
-- How long the beginning of a task counts for the rate that it began under: calls of one activity may have several.

LOCK TABLE task; -- before task_begun, as claims do: they go on meanwhile, and this one would lose each deadlock with them
ALTER TABLE task_begun ADD COLUMN until timestamptz;

-- oldest 2
-- Tasks that wait, by kind: an activity, and the limit over all workers, if there is one. A worker passes over the kinds that are not for it, and
-- those whose limit is reached, however many of them wait. The predicate is not that of task_due, so that what looks for kinds is not planned with it.

LOCK TABLE task; -- at once: while the index is made claims would lock rows, and DROP INDEX could not follow
CREATE INDEX task_kind ON task (queue, activity, coalesce(bounds, ''), priority DESC, due, key) WHERE owner + 0 = 0;
DROP INDEX task_execution;
CREATE INDEX task_execution ON task (execution, activity, coalesce(bounds, ''), priority DESC, due, key) WHERE owner = 0;

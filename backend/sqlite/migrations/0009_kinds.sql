-- oldest 4
-- Tasks that wait, by kind: an activity, and the limit over all workers, if there is one. A worker passes over the kinds that are not for it, and
-- those whose limit is reached, however many of them wait.

CREATE INDEX task_kind ON task (queue, activity, coalesce(bounds, ''), priority DESC, due) WHERE owner = 0;
CREATE INDEX task_kind_execution ON task (execution, activity, coalesce(bounds, ''), priority DESC, due) WHERE owner = 0;

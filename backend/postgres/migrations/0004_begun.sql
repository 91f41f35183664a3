-- oldest 2
-- What waits for its next due time, apart from what has never begun: a worker whose slots are all taken looks for that only, beside a backlog.

CREATE INDEX execution_begun ON execution (queue, priority DESC, due, key) WHERE owner = 0 AND due IS NOT NULL AND state = 'running';

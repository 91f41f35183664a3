-- Tasks, shared results and dead letters in the shape in which they are used.

DROP TABLE task;
DROP TABLE memo;
DROP TABLE memo_waiter;
DROP TABLE dead_letter;

-- Attempts of activities that any worker may run.
CREATE TABLE task (
	key       INTEGER PRIMARY KEY AUTOINCREMENT,
	execution INTEGER NOT NULL,
	run       INTEGER NOT NULL,
	step      TEXT NOT NULL,
	attempt   INTEGER NOT NULL,
	owner     INTEGER NOT NULL, -- session, 0: nobody
	due       INTEGER NOT NULL,
	queue     TEXT NOT NULL,
	priority  INTEGER NOT NULL,
	activity  TEXT NOT NULL,
	tags      TEXT,
	expires   INTEGER,
	created   INTEGER NOT NULL,
	began     INTEGER,
	bounds    TEXT, -- JSON: a limit over all workers
	input     BLOB
) STRICT;

CREATE INDEX task_due ON task (queue, priority DESC, due) WHERE owner = 0;
CREATE INDEX task_owner ON task (owner) WHERE owner <> 0;
CREATE INDEX task_run ON task (run, step, attempt);
CREATE INDEX task_expires ON task (expires) WHERE owner = 0 AND expires IS NOT NULL;
CREATE INDEX task_bounds ON task (activity) WHERE owner <> 0 AND bounds IS NOT NULL;

-- When tasks of activities with a rate began, as far back as the rate looks.
CREATE TABLE task_begun (
	activity TEXT NOT NULL,
	at       INTEGER NOT NULL,
	key      INTEGER NOT NULL,
	PRIMARY KEY (activity, at, key)
) STRICT, WITHOUT ROWID;

-- Results of activities shared between executions, by what they were called with.
CREATE TABLE memo (
	hash      TEXT PRIMARY KEY,
	activity  TEXT NOT NULL,
	called    TEXT NOT NULL, -- what people see of what it was called with
	execution INTEGER NOT NULL, -- who computes it, or did
	run       INTEGER NOT NULL,
	step      TEXT NOT NULL,
	created   INTEGER NOT NULL,
	expires   INTEGER,
	result    BLOB -- NULL: not yet known
) STRICT;

CREATE INDEX memo_run ON memo (run) WHERE result IS NULL;
CREATE INDEX memo_expires ON memo (expires) WHERE expires IS NOT NULL;

-- Who waits for a memo; the lowest key is the first.
CREATE TABLE memo_waiter (
	key       INTEGER PRIMARY KEY AUTOINCREMENT,
	hash      TEXT NOT NULL,
	execution INTEGER NOT NULL,
	run       INTEGER NOT NULL,
	step      TEXT NOT NULL
) STRICT;

CREATE INDEX memo_waiter_hash ON memo_waiter (hash, key);
CREATE INDEX memo_waiter_run ON memo_waiter (run);

-- Steps whose attempts are used up, for people to look at.
CREATE TABLE dead_letter (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	execution INTEGER NOT NULL,
	run       INTEGER NOT NULL,
	step      TEXT NOT NULL,
	attempts  INTEGER NOT NULL,
	activity  TEXT NOT NULL,
	at        INTEGER NOT NULL,
	failure   TEXT,
	input     BLOB
) STRICT;

CREATE INDEX dead_letter_execution ON dead_letter (execution);

CREATE INDEX execution_expires ON execution (expires) WHERE owner = 0 AND expires IS NOT NULL AND finished IS NULL;
CREATE INDEX execution_finished ON execution (finished) WHERE finished IS NOT NULL;

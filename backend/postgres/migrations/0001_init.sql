-- The first schema: everything that a store keeps.
--
-- States are words, times are of the database's clock, JSON is text. What may
-- hold any bytes (inputs, results, payloads, journal rows) is bytea: text and
-- jsonb refuse NUL. Ids compare by their bytes, whatever the locale.
--
-- There are no foreign keys on what is hot: a check of one costs more than the
-- row. The statements that would break a reference lock what they refer to.

-- Keys of runs, and of executions: one bears the key of its first run.
CREATE SEQUENCE run_key;
CREATE SEQUENCE inbox_id;

CREATE TABLE program (
	digest  text COLLATE "C" PRIMARY KEY,
	created timestamptz NOT NULL,
	sources text
);

-- Every deployment is kept; the newest version of a name counts.
CREATE TABLE workflow (
	name    text COLLATE "C" NOT NULL,
	version integer NOT NULL,
	digest  text COLLATE "C" NOT NULL REFERENCES program (digest),
	by      text NOT NULL,
	note    text NOT NULL,
	at      timestamptz NOT NULL,
	PRIMARY KEY (name, version)
);

-- owner 0: nobody. due NULL: only a message makes it due. Three updates are the
-- life of a row (claim, release or not, finish); room on the page keeps its
-- versions together, and vacuum comes long before a fifth of a large table is dead.
CREATE TABLE execution (
	key         bigint PRIMARY KEY,
	id          text COLLATE "C" NOT NULL UNIQUE,
	owner       bigint NOT NULL,
	run         bigint NOT NULL, -- the latest
	state       text NOT NULL,
	stuck       text,
	due         timestamptz,
	queue       text COLLATE "C" NOT NULL,
	priority    integer NOT NULL,
	edition     integer NOT NULL,
	run_number  integer NOT NULL,
	created     timestamptz NOT NULL,
	started     timestamptz,
	finished    timestamptz,
	expires     timestamptz,
	workflow    text COLLATE "C" NOT NULL,
	digest      text COLLATE "C" NOT NULL,
	function    text NOT NULL,
	parent      text COLLATE "C" NOT NULL,
	parent_run  bigint NOT NULL,
	parent_step text NOT NULL,
	depth       integer NOT NULL,
	tags        text[],
	published   text,
	extra       text, -- JSON of the engine
	failure     text,
	input       bytea,
	result      bytea
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
	autovacuum_analyze_scale_factor = 0.05);

-- Only what is live is in the indexes that claims, owners and timers look into.
CREATE INDEX execution_due ON execution (queue, priority DESC, due, key) WHERE owner = 0 AND due IS NOT NULL;
CREATE INDEX execution_owner ON execution (owner, key) WHERE owner <> 0;
CREATE INDEX execution_expires ON execution (expires) WHERE owner = 0 AND expires IS NOT NULL AND finished IS NULL;
CREATE INDEX execution_stuck ON execution (key) WHERE stuck IS NOT NULL;
CREATE INDEX execution_parent ON execution (parent) WHERE parent <> '';
CREATE INDEX execution_created ON execution (created, id);
CREATE INDEX execution_finished ON execution (finished) WHERE finished IS NOT NULL;

CREATE TABLE run (
	key       bigint PRIMARY KEY,
	execution bigint NOT NULL,
	number    integer NOT NULL,
	created   timestamptz NOT NULL
);

CREATE INDEX run_execution ON run (execution, number);

-- Append-only: rows are inserted, and deleted with their run, never updated.
CREATE TABLE journal (
	run     bigint NOT NULL,
	row     bigint NOT NULL,
	session bigint NOT NULL,
	data    bytea,
	PRIMARY KEY (run, row)
);

-- A queue: rows live for milliseconds. A vacuum that waited for a share of the
-- table would come too seldom while it is small and too late once it is large.
CREATE TABLE inbox (
	execution bigint NOT NULL,
	id        bigint NOT NULL DEFAULT nextval('inbox_id'),
	kind      text NOT NULL,
	name      text NOT NULL,
	run       bigint NOT NULL, -- of the addressee that it is meant for; 0: any
	step      text NOT NULL,
	attempt   integer NOT NULL,
	sent      timestamptz NOT NULL,
	payload   bytea,
	PRIMARY KEY (execution, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
	autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);

CREATE TABLE log (
	run     bigint NOT NULL,
	ordinal bigint NOT NULL,
	at      timestamptz NOT NULL,
	step    text NOT NULL,
	level   text NOT NULL,
	message text NOT NULL,
	fields  text,
	PRIMARY KEY (run, ordinal)
);

-- Few rows that beat for ever: half-empty pages let a beat stay on its page
-- without touching an index.
CREATE TABLE session (
	id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	beat    bigint NOT NULL,
	host    text NOT NULL,
	boot    text NOT NULL,
	pidns   text NOT NULL,
	pid     integer NOT NULL,
	started text NOT NULL,
	opened  timestamptz NOT NULL,
	info    text
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

-- Keys of executions: the watcher gets the end of the target as step of its run.
CREATE TABLE watch (
	target  bigint NOT NULL,
	watcher bigint NOT NULL,
	run     bigint NOT NULL,
	step    text NOT NULL,
	PRIMARY KEY (target, watcher, run, step)
);

-- Attempts of activities that any worker may run. A queue, too.
CREATE TABLE task (
	key       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	execution bigint NOT NULL,
	run       bigint NOT NULL,
	step      text COLLATE "C" NOT NULL,
	attempt   integer NOT NULL,
	owner     bigint NOT NULL, -- session, 0: nobody
	due       timestamptz NOT NULL,
	queue     text COLLATE "C" NOT NULL,
	priority  integer NOT NULL,
	activity  text COLLATE "C" NOT NULL,
	tags      text[],
	expires   timestamptz,
	created   timestamptz NOT NULL,
	began     timestamptz,
	bounds    text, -- JSON: a limit over all workers
	input     bytea
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
	autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);

CREATE INDEX task_due ON task (queue, priority DESC, due, key) WHERE owner = 0;
CREATE INDEX task_owner ON task (owner, key) WHERE owner <> 0;
CREATE INDEX task_run ON task (run, step, attempt);
CREATE INDEX task_execution ON task (execution) WHERE owner = 0;
CREATE INDEX task_expires ON task (expires) WHERE owner = 0 AND expires IS NOT NULL;
CREATE INDEX task_bounds ON task (activity) WHERE owner <> 0 AND bounds IS NOT NULL;

-- When tasks of activities with a rate began, as far back as the rate looks.
CREATE TABLE task_begun (
	activity text COLLATE "C" NOT NULL,
	at       timestamptz NOT NULL,
	key      bigint NOT NULL,
	PRIMARY KEY (activity, at, key)
);

-- Results of activities shared between executions, by what they were called with.
CREATE TABLE memo (
	hash      text COLLATE "C" PRIMARY KEY,
	activity  text COLLATE "C" NOT NULL,
	called    text NOT NULL, -- what people see of what it was called with
	execution bigint NOT NULL, -- who computes it, or did
	run       bigint NOT NULL,
	step      text NOT NULL,
	created   timestamptz NOT NULL,
	expires   timestamptz,
	result    bytea -- NULL: not yet known
);

CREATE INDEX memo_run ON memo (run) WHERE result IS NULL;
CREATE INDEX memo_expires ON memo (expires) WHERE expires IS NOT NULL;
CREATE INDEX memo_created ON memo (created);

-- Who waits for a memo; the lowest key is the first.
CREATE TABLE memo_waiter (
	key       bigint GENERATED ALWAYS AS IDENTITY,
	hash      text COLLATE "C" NOT NULL,
	execution bigint NOT NULL,
	run       bigint NOT NULL,
	step      text NOT NULL,
	PRIMARY KEY (hash, key)
);

CREATE INDEX memo_waiter_run ON memo_waiter (run);

-- Steps whose attempts are used up, for people to look at.
CREATE TABLE dead_letter (
	id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	execution bigint NOT NULL,
	run       bigint NOT NULL,
	step      text NOT NULL,
	attempts  integer NOT NULL,
	activity  text NOT NULL,
	at        timestamptz NOT NULL,
	failure   text,
	input     bytea
);

CREATE INDEX dead_letter_execution ON dead_letter (execution);

-- An execution is two rows: what it was asked to be, and how it stands.
--
-- A claim and an end change how it stands. Each is a new version of the row, and
-- in every index of its table a new entry, whatever the index is about. So what people and
-- other executions find it by (id, time, parent) has a table of its own, in which
-- next to nothing ever changes: a claim and an end cost a third, and half.

ALTER TABLE execution RENAME TO was;

-- Written when the execution is made. A new run may have another digest.
CREATE TABLE request (
	key         bigint NOT NULL,
	created     timestamptz NOT NULL,
	parent_run  bigint NOT NULL,
	depth       integer NOT NULL,
	id          text COLLATE "C" NOT NULL,
	workflow    text COLLATE "C" NOT NULL,
	digest      text COLLATE "C" NOT NULL,
	function    text NOT NULL,
	parent      text COLLATE "C" NOT NULL,
	parent_step text NOT NULL,
	extra       text, -- JSON of the engine
	input       bytea
);

-- owner 0: nobody. due NULL: only a message makes it due. Three updates are the
-- life of a row (claim, release or not, finish); room on the page keeps its
-- versions together, and vacuum comes long before a fifth of a large table is dead.
CREATE TABLE execution (
	key        bigint NOT NULL,
	owner      bigint NOT NULL,
	run        bigint NOT NULL, -- the latest
	due        timestamptz,
	started    timestamptz,
	finished   timestamptz,
	expires    timestamptz,
	priority   integer NOT NULL,
	edition    integer NOT NULL,
	run_number integer NOT NULL,
	state      text NOT NULL,
	queue      text COLLATE "C" NOT NULL,
	tags       text[],
	stuck      text,
	published  text,
	failure    text,
	result     bytea
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
	autovacuum_analyze_scale_factor = 0.05);

INSERT INTO request (key, created, parent_run, depth, id, workflow, digest, function, parent, parent_step, extra, input)
	SELECT key, created, parent_run, depth, id, workflow, digest, function, parent, parent_step, extra, input FROM was;
INSERT INTO execution (key, owner, run, due, started, finished, expires, priority, edition, run_number, state, queue, tags, stuck, published, failure, result)
	SELECT key, owner, run, due, started, finished, expires, priority, edition, run_number, state, queue, tags, stuck, published, failure, result FROM was;

DROP TABLE was;

ALTER TABLE request ADD PRIMARY KEY (key), ADD UNIQUE (id);
CREATE INDEX request_created ON request (created);
CREATE INDEX request_parent ON request (parent) WHERE parent <> '';

-- Only what is live is in the indexes that claims, owners and timers look into.
ALTER TABLE execution ADD PRIMARY KEY (key);
CREATE INDEX execution_due ON execution (queue, priority DESC, due, key) WHERE owner = 0 AND due IS NOT NULL;
CREATE INDEX execution_owner ON execution (owner, key) WHERE owner <> 0;
CREATE INDEX execution_expires ON execution (expires) WHERE owner = 0 AND expires IS NOT NULL AND finished IS NULL;
CREATE INDEX execution_stuck ON execution (key) WHERE stuck IS NOT NULL;
CREATE INDEX execution_finished ON execution (finished) WHERE finished IS NOT NULL;

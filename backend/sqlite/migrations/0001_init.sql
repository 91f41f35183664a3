-- The first schema: everything that a store keeps.
-- Times are microseconds UTC, states are words, JSON is text.

CREATE TABLE program (
	digest  TEXT PRIMARY KEY,
	created INTEGER NOT NULL,
	sources TEXT
) STRICT;

-- Every deployment is kept; the newest version of a name counts.
CREATE TABLE workflow (
	name    TEXT NOT NULL,
	version INTEGER NOT NULL,
	digest  TEXT NOT NULL REFERENCES program (digest),
	by      TEXT NOT NULL,
	note    TEXT NOT NULL,
	at      INTEGER NOT NULL,
	PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

-- key is the key of the first run. What every turn looks at comes first, what
-- may be long comes last.
CREATE TABLE execution (
	key         INTEGER PRIMARY KEY,
	id          TEXT NOT NULL UNIQUE,
	owner       INTEGER NOT NULL, -- session, 0: nobody
	run         INTEGER NOT NULL, -- the latest
	state       TEXT NOT NULL,
	stuck       TEXT,
	due         INTEGER,
	queue       TEXT NOT NULL,
	priority    INTEGER NOT NULL,
	edition     INTEGER NOT NULL,
	run_number  INTEGER NOT NULL,
	created     INTEGER NOT NULL,
	started     INTEGER,
	finished    INTEGER,
	expires     INTEGER,
	workflow    TEXT NOT NULL,
	digest      TEXT NOT NULL REFERENCES program (digest),
	function    TEXT NOT NULL,
	parent      TEXT NOT NULL,
	parent_step TEXT NOT NULL,
	tags        TEXT,
	published   TEXT,
	failure     TEXT,
	input       TEXT,
	result      BLOB
) STRICT;

CREATE INDEX execution_due ON execution (queue, priority DESC, due) WHERE owner = 0 AND due IS NOT NULL;
CREATE INDEX execution_owner ON execution (owner) WHERE owner <> 0;
CREATE INDEX execution_parent ON execution (parent) WHERE parent <> '';
CREATE INDEX execution_created ON execution (created);

CREATE TABLE run (
	key       INTEGER PRIMARY KEY AUTOINCREMENT,
	execution INTEGER NOT NULL REFERENCES execution (key),
	number    INTEGER NOT NULL,
	created   INTEGER NOT NULL
) STRICT;

-- Rows are appended in the order in which they come, whatever their run, so
-- that a batch of many runs fills few pages; clustered by run it would dirty a
-- page a row, and the write-ahead log carries whole pages.
CREATE TABLE journal (
	seq     INTEGER PRIMARY KEY,
	run     INTEGER NOT NULL,
	row     INTEGER NOT NULL,
	session INTEGER NOT NULL,
	data    BLOB
) STRICT;

CREATE UNIQUE INDEX journal_row ON journal (run, row);

CREATE TABLE inbox (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	execution INTEGER NOT NULL REFERENCES execution (key),
	kind      TEXT NOT NULL,
	name      TEXT NOT NULL,
	step      TEXT NOT NULL,
	attempt   INTEGER NOT NULL,
	sent      INTEGER NOT NULL,
	payload   BLOB
) STRICT;

CREATE INDEX inbox_execution ON inbox (execution);

CREATE TABLE log (
	run     INTEGER NOT NULL,
	ordinal INTEGER NOT NULL,
	at      INTEGER NOT NULL,
	step    TEXT NOT NULL,
	level   TEXT NOT NULL,
	message TEXT NOT NULL,
	fields  TEXT,
	PRIMARY KEY (run, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	beat    INTEGER NOT NULL,
	host    TEXT NOT NULL,
	boot    TEXT NOT NULL,
	pidns   TEXT NOT NULL,
	pid     INTEGER NOT NULL,
	started TEXT NOT NULL,
	opened  INTEGER NOT NULL,
	info    TEXT
) STRICT;

-- Attempts of activities that any worker may run.
CREATE TABLE task (
	key      INTEGER PRIMARY KEY AUTOINCREMENT,
	run      INTEGER NOT NULL,
	step     TEXT NOT NULL,
	attempt  INTEGER NOT NULL,
	owner    INTEGER NOT NULL,
	due      INTEGER,
	queue    TEXT NOT NULL,
	priority INTEGER NOT NULL,
	activity TEXT NOT NULL,
	tags     TEXT,
	created  INTEGER NOT NULL,
	input    BLOB,
	UNIQUE (run, step, attempt)
) STRICT;

CREATE INDEX task_due ON task (queue, priority DESC, due) WHERE owner = 0 AND due IS NOT NULL;
CREATE INDEX task_owner ON task (owner) WHERE owner <> 0;

-- Results of activities shared between executions, by what they were called with.
CREATE TABLE memo (
	hash     TEXT PRIMARY KEY,
	activity TEXT NOT NULL,
	run      INTEGER NOT NULL, -- who computes it, or did
	step     TEXT NOT NULL,
	created  INTEGER NOT NULL,
	expires  INTEGER,
	result   BLOB -- NULL: not yet known
) STRICT;

CREATE TABLE memo_waiter (
	hash      TEXT NOT NULL,
	execution INTEGER NOT NULL,
	step      TEXT NOT NULL,
	PRIMARY KEY (hash, execution, step)
) STRICT, WITHOUT ROWID;

-- Activities given up on, for people to look at.
CREATE TABLE dead_letter (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	execution INTEGER NOT NULL,
	run       INTEGER NOT NULL,
	step      TEXT NOT NULL,
	attempt   INTEGER NOT NULL,
	activity  TEXT NOT NULL,
	at        INTEGER NOT NULL,
	failure   TEXT,
	input     BLOB
) STRICT;

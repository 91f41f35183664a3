-- oldest 4
-- Signals that executions which ended, and did not complete, have left: they are for a run that goes on. They have a table of their
-- own, for they may lie there for weeks, and inboxes are looked through, and found empty, all the time.

CREATE TABLE unread (
	id        INTEGER PRIMARY KEY, -- that it had in the inbox
	execution INTEGER NOT NULL,
	kind      TEXT NOT NULL,
	name      TEXT NOT NULL,
	run       INTEGER NOT NULL,
	step      TEXT NOT NULL,
	attempt   INTEGER NOT NULL,
	sent      INTEGER NOT NULL,
	payload   BLOB
) STRICT;

CREATE INDEX unread_execution ON unread (execution);

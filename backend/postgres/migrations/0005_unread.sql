-- oldest 2
-- Signals that executions which ended, and did not complete, have left: they are for a run that goes on. They have a table of their
-- own, for they may lie there for weeks, and an inbox is looked through all the time.

CREATE TABLE unread (
	execution bigint NOT NULL,
	id        bigint NOT NULL, -- that it had in the inbox
	kind      text NOT NULL,
	name      text NOT NULL,
	run       bigint NOT NULL,
	step      text NOT NULL,
	attempt   integer NOT NULL,
	sent      timestamptz NOT NULL,
	payload   bytea,
	PRIMARY KEY (execution, id)
);

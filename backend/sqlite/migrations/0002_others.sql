-- What executions have to do with each other: whose run asked for a child, who
-- watches whose end, which run a message is meant for.

ALTER TABLE execution ADD COLUMN parent_run INTEGER NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inbox ADD COLUMN run INTEGER NOT NULL DEFAULT 0; -- 0: any

-- Keys of executions: the watcher gets the end of the target as step of its run.
CREATE TABLE watch (
	target  INTEGER NOT NULL,
	watcher INTEGER NOT NULL,
	run     INTEGER NOT NULL,
	step    TEXT NOT NULL,
	PRIMARY KEY (target, watcher, run, step)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_execution ON run (execution, number);

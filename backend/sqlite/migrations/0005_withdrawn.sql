-- oldest 3
-- A task that was withdrawn while it runs: 1. It is its owner's until that has ended it.

ALTER TABLE task ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;

-- oldest 2
-- Whether a task was withdrawn while it runs. It is its owner's until that has ended it.

ALTER TABLE task ADD COLUMN withdrawn boolean NOT NULL DEFAULT false;

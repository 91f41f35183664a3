// New executions.

package sqlite

import (
	"time"

	"github.com/senpuki/senpuki/backend"
)

// stored fails when a program is not there. Every transaction asks anew: another process may have collected it.
func stored(c *conn, digest string) error {
	v, err := c.first(nonstop, "SELECT 1 FROM program WHERE digest = ?", digest)
	if err == nil && v == nil {
		err = backend.ErrNoProgram
	}
	return err
}

// demand fails when a new execution's program is not there.
func demand(c *conn, list []backend.NewExecution) error {
	for i := range list {
		if i > 0 && list[i].Digest == list[i-1].Digest {
			continue
		}
		if err := stored(c, list[i].Digest); err != nil {
			return err
		}
	}
	return nil
}

// create makes the executions that do not exist yet.
func create(c *conn, session backend.SessionID, list []backend.NewExecution, at time.Time) (created []backend.Created, err error) {
	// Run keys are taken from the sequence, which outlives deleted rows, and
	// an execution bears the key of its first run.
	v, err := c.first(nonstop, "SELECT seq FROM sqlite_sequence WHERE name = 'run'")
	if err != nil {
		return nil, err
	}
	last := int64(0)
	if v != nil {
		last = number(v[0])
	}
	for i := range list {
		n := &list[i]
		ok, err := insert(c, session, n, last+1, at)
		if err != nil {
			return nil, err
		}
		if ok {
			last++
			created = append(created, backend.Created{Run: backend.RunKey(last)})
			continue
		}
		x, err := read(nonstop, c, n.ID)
		if err != nil {
			return nil, err
		}
		created = append(created, backend.Created{Run: x.Run, Existing: &x})
	}
	return created, nil
}

func insert(c *conn, session backend.SessionID, n *backend.NewExecution, key int64, at time.Time) (bool, error) {
	tags, err := list(n.Tags)
	if err != nil {
		return false, err
	}
	state, owner, due, started := backend.Pending, backend.SessionID(0), n.Due, time.Time{}
	if due.IsZero() {
		due = at
	}
	if n.Claim {
		state, owner, due, started = backend.Running, session, time.Time{}, at
	}
	inserted, err := c.exec(`INSERT INTO execution (key, id, owner, run, state, due, queue, priority, edition, run_number,
			created, started, expires, workflow, digest, function, parent, parent_step, parent_run, depth, tags, extra, input)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		key, n.ID, owner, key, state, due, n.Queue, n.Priority, n.Edition,
		at, started, n.Expires, n.Workflow, n.Digest, n.Function, n.Parent, n.ParentStep, n.ParentRun, n.Depth, tags, text(n.Extra), text(n.Input))
	if err != nil || inserted == 0 {
		return false, err
	}
	_, err = c.exec("INSERT INTO run (key, execution, number, created) VALUES (?, ?, 1, ?)", key, key, at)
	if err == nil && n.Claim && n.First != nil {
		_, err = c.exec("INSERT INTO journal (run, row, session, data) VALUES (?, 0, ?, ?)", key, session, n.First)
	}
	return true, err
}

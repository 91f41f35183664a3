// Runs after the last, retention, counting.

package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// Rerun begins a run after the last.
func (s *Store) Rerun(_ context.Context, r backend.Rerun) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.executions[r.Execution]
	switch {
	case x == nil:
		return backend.ErrNotFound
	case !x.State.Terminal() || x.Run != r.Run:
		return backend.Explain(backend.ErrConflict, "execution %s has not ended, or has another run by now", r.Execution)
	case r.ID != "" && s.executions[r.ID] != nil:
		return backend.Explain(backend.ErrConflict, "execution %s exists already", r.ID)
	}
	if _, ok := s.programs[r.Digest]; !ok {
		return backend.ErrNoProgram
	}
	at := s.now()
	number := x.RunNumber + 1
	if r.ID != "" {
		c := x.view()
		c.ID, c.Created, c.Started, c.Parent, number = r.ID, at, time.Time{}, r.Execution, 1
		x = &execution{Execution: c}
		s.executions[r.ID] = x
	}
	s.lastRun++
	next := &run{execution: x.ID, number: number, created: at}
	for _, row := range r.Rows {
		row.Data = clone(row.Data)
		next.rows = append(next.rows, row)
	}
	s.runs[s.lastRun] = next
	x.Run, x.RunNumber, x.Digest, x.Edition = s.lastRun, number, r.Digest, r.Edition
	x.State, x.Result, x.Failure, x.Finished, x.Expires, x.Stuck = backend.Running, nil, nil, time.Time{}, time.Time{}, nil
	if len(r.Rows) == 0 {
		x.State, x.Started = backend.Pending, time.Time{}
	}
	x.Owner, x.Due, x.ParentStep, x.ParentRun = 0, at, "", 0 // its parent has been told of its end
	kept := x.inbox
	x.inbox = nil
	for _, m := range r.Messages {
		m.Execution = x.ID
		_ = s.send(&m, at)
	}
	for _, m := range kept {
		s.lastMessage++
		m.ID = s.lastMessage
		x.inbox = append(x.inbox, m)
	}
	if r.Queue != "" {
		x.Queue = r.Queue
	}
	for _, id := range r.Letters {
		delete(s.dead, id)
	}
	return nil
}

// Collect removes what ended long ago.
func (s *Store) Collect(_ context.Context, r backend.Retention) (c backend.Collected, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.now()
	old := func(x *execution) bool {
		before := r.Failed
		if x.State == backend.Completed {
			before = r.Completed
		}
		return x.State.Terminal() && x.Finished.Before(before)
	}
	rows := 0
	for _, id := range slices.Sorted(maps.Keys(s.executions)) {
		if !old(s.executions[id]) {
			continue
		}
		if r.Limit > 0 && int(c.Executions) >= r.Limit || r.Rows > 0 && rows >= r.Rows {
			c.More = !r.DryRun
			break
		}
		c.Executions++
		for key, d := range s.dead {
			if d.Execution == id {
				c.DeadLetters++
				if !r.DryRun {
					delete(s.dead, key)
				}
			}
		}
		if r.DryRun {
			continue
		}
		delete(s.executions, id)
		maps.DeleteFunc(s.runs, func(_ backend.RunKey, n *run) bool {
			if n.execution == id {
				rows += len(n.rows) + len(n.logs)
			}
			return n.execution == id
		})
	}
	for hash, m := range s.memos {
		if r.Rows > 0 && !r.DryRun && int(c.Memos) >= r.Rows {
			c.More = true
			break
		}
		if m.Result != nil && !m.Expires.IsZero() && !m.Expires.After(at) {
			c.Memos++
			if !r.DryRun {
				delete(s.memos, hash)
			}
		}
	}
	if c.More {
		return c, nil
	}
	used := make(map[string]bool)
	for _, x := range s.executions {
		if !r.DryRun || !old(x) {
			used[x.Digest] = true
		}
	}
	for _, all := range s.deployments {
		for _, d := range all {
			used[d.Digest] = true
		}
	}
	for digest, p := range s.programs {
		if !used[digest] && p.Created.Before(r.Completed) {
			c.Programs++
			if !r.DryRun {
				delete(s.programs, digest)
			}
		}
	}
	return c, nil
}

// Stats counts what the store holds.
func (s *Store) Stats(_ context.Context, since time.Time) (backend.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.now()
	st := backend.Stats{States: make(map[backend.State]int64), Dead: int64(len(s.dead)), Memos: int64(len(s.memos)), Since: since}
	queues := make(map[string]*backend.QueueStats)
	queue := func(name string, due time.Time) *backend.QueueStats {
		q := queues[name]
		if q == nil {
			q = &backend.QueueStats{Queue: name, OldestDue: due}
			queues[name] = q
		}
		if due.Before(q.OldestDue) {
			q.OldestDue = due
		}
		return q
	}
	for _, x := range s.executions {
		st.States[x.State]++
		if x.Stuck != nil {
			st.Stuck++
		}
		if x.State.Terminal() && !x.Finished.Before(since) {
			st.Ended++
			if x.State != backend.Completed && x.State != backend.Cancelled {
				st.Failed++
			}
		}
		if x.Owner == 0 && !x.Due.IsZero() && !x.Due.After(at) {
			queue(x.Queue, x.Due).Pending++
		}
	}
	for _, k := range s.tasks {
		if k.Owner == 0 && !k.Due.After(at) {
			queue(k.Queue, k.Due).Tasks++
		}
	}
	for _, q := range queues {
		st.Queues = append(st.Queues, *q)
	}
	slices.SortFunc(st.Queues, func(a, b backend.QueueStats) int { return cmp.Compare(a.Queue, b.Queue) })
	return st, nil
}

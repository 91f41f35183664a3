// Commit: a batch whole or not at all.

package memory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// Commit writes a batch.
func (s *Store) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	if err := ctx.Err(); err != nil {
		return backend.Reply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayLand(&b); err != nil {
		return backend.Reply{}, err
	}
	reply := backend.Reply{Now: s.now()}
	for i := range b.Create {
		reply.Created = append(reply.Created, s.create(b.Session, &b.Create[i], reply.Now))
	}
	for i := range b.Turns {
		reply.Turns = append(reply.Turns, s.land(b.Session, &b.Turns[i], reply.Now))
	}
	for i := range b.Send {
		reply.Sent = append(reply.Sent, s.send(&b.Send[i], reply.Now))
	}
	for i := range b.Settle {
		reply.Settled = append(reply.Settled, s.settle(b.Session, &b.Settle[i], reply.Now))
	}
	for _, key := range b.Back {
		s.giveBack(b.Session, key, reply.Now)
	}
	return reply, nil
}

// mayLand checks everything before anything is changed.
func (s *Store) mayLand(b *backend.Batch) error {
	fenced := len(b.Turns) > 0 || len(b.Settle) > 0 || len(b.Back) > 0
	for i := range b.Create {
		if _, ok := s.programs[b.Create[i].Digest]; !ok {
			return backend.ErrNoProgram
		}
		fenced = fenced || b.Create[i].Claim
	}
	if fenced && s.sessions[b.Session] == nil {
		return backend.ErrFenced
	}
	for i := range b.Turns {
		t := &b.Turns[i]
		x := s.executions[t.Execution]
		switch {
		case x == nil, x.Owner != b.Session, x.Run != t.Run, x.State.Terminal(),
			len(t.Rows) > 0 && t.First != int64(len(s.runs[t.Run].rows)):
			return &backend.TurnError{Index: i, Err: backend.ErrNotOwner}
		}
		for _, id := range t.Taken {
			if !slices.ContainsFunc(x.inbox, func(m backend.Message) bool { return m.ID == id }) {
				return &backend.TurnError{Index: i, Err: backend.ErrNotOwner}
			}
		}
		for n, l := range t.Logs {
			same := func(other backend.LogLine) bool { return other.Ordinal == l.Ordinal }
			if slices.ContainsFunc(s.runs[t.Run].logs, same) || slices.ContainsFunc(t.Logs[:n], same) {
				return &backend.TurnError{Index: i, Err: backend.ErrNotOwner}
			}
		}
		for n := range t.Children {
			if _, ok := s.programs[t.Children[n].Digest]; !ok {
				return &backend.TurnError{Index: i, Err: backend.ErrNoProgram}
			}
		}
		if t.Then == backend.Continue {
			if t.Next == nil || len(t.Rows) > 0 {
				return &backend.TurnError{Index: i, Err: backend.ErrNotOwner}
			}
			if _, ok := s.programs[t.Next.Digest]; !ok {
				return &backend.TurnError{Index: i, Err: backend.ErrNoProgram}
			}
		}
		if t.Digest != "" {
			if _, ok := s.programs[t.Digest]; !ok {
				return &backend.TurnError{Index: i, Err: backend.ErrNoProgram}
			}
		}
	}
	return nil
}

func (s *Store) create(session backend.SessionID, n *backend.NewExecution, at time.Time) backend.Created {
	if x := s.executions[n.ID]; x != nil {
		v := x.view()
		return backend.Created{Run: x.Run, Existing: &v}
	}
	s.lastRun++
	x := &execution{Execution: backend.Execution{
		ID: n.ID, Run: s.lastRun, RunNumber: 1, Workflow: n.Workflow, Digest: n.Digest, Edition: n.Edition,
		Function: n.Function, Input: clone(n.Input), State: backend.Pending, Queue: n.Queue, Priority: n.Priority,
		Tags: slices.Clone(n.Tags), Parent: n.Parent, ParentStep: n.ParentStep, ParentRun: n.ParentRun, Depth: n.Depth, Due: n.Due, Expires: n.Expires, Created: at, Extra: clone(n.Extra),
	}}
	if x.Due.IsZero() {
		x.Due = at
	}
	if n.Claim {
		x.State, x.Owner, x.Started, x.Due = backend.Running, session, at, time.Time{}
	}
	s.executions[n.ID] = x
	r := &run{execution: x.ID, number: 1, created: at}
	if n.Claim && n.First != nil {
		r.rows = []backend.Row{{Session: session, Data: clone(n.First)}}
	}
	s.runs[x.Run] = r
	return backend.Created{Run: x.Run}
}

func (s *Store) land(session backend.SessionID, t *backend.Turn, at time.Time) (reply backend.TurnReply) {
	x, r := s.executions[t.Execution], s.runs[t.Run]
	for _, data := range t.Rows {
		r.rows = append(r.rows, backend.Row{Number: int64(len(r.rows)), Session: session, Data: clone(data)})
	}
	for _, l := range t.Logs {
		l.Fields = clone(l.Fields)
		r.logs = append(r.logs, l)
	}
	x.inbox = slices.DeleteFunc(x.inbox, func(m backend.Message) bool { return slices.Contains(t.Taken, m.ID) })
	if t.Published != nil {
		x.Published = clone(t.Published)
	}
	if t.Digest != "" {
		x.Digest = t.Digest
	}
	if t.Stuck != nil {
		stuck := *t.Stuck
		x.Stuck = &stuck
	} else if len(t.Rows) > 0 {
		x.Stuck = nil
	}
	for i := range t.Children {
		n := &t.Children[i]
		c := s.create(session, n, at)
		if old := c.Existing; old != nil && (old.Parent != n.Parent || old.ParentRun != n.ParentRun || old.ParentStep != n.ParentStep) {
			s.notice(t, n.ParentStep, backend.Taken, at)
		}
	}
	for i := range t.Orders {
		o := &t.Orders[i]
		name := backend.Delivered
		switch err := s.send(&o.Message, at); {
		case errors.Is(err, backend.ErrNotFound):
			name = backend.NotFound
		case errors.Is(err, backend.ErrClosed):
			name = backend.Closed
		}
		if o.Answer != "" {
			s.notice(t, o.Answer, name, at)
		}
	}
	for _, w := range t.Watches {
		me := watcher{t.Execution, t.Run, w.Step}
		switch other := s.executions[w.Execution]; {
		case w.Over && other != nil:
			other.watchers = slices.DeleteFunc(other.watchers, func(w watcher) bool { return w == me })
		case w.Over:
		case other == nil:
			s.notice(t, w.Step, backend.NotFound, at)
		case other.State.Terminal():
			s.tell(other, me, at)
		default:
			other.watchers = append(other.watchers, me)
		}
	}
	s.putTasks(x, t, at)
	for i := range t.Reserve {
		s.reserve(t, &t.Reserve[i], at)
	}
	for i := range t.Memos {
		s.concludeMemo(t, &t.Memos[i], at)
	}
	s.bury(t, at)
	if t.Then == backend.Continue || t.Then == backend.Finish {
		defer func() {
			s.dropTasks(t.Run)
			s.freeMemos(t.Run, at)
		}()
	}
	switch t.Then {
	case backend.Continue:
		s.lastRun++
		r.rows = nil
		x.Run, x.RunNumber = s.lastRun, x.RunNumber+1
		x.Digest, x.Edition = t.Next.Digest, t.Next.Edition
		next := &run{execution: x.ID, number: x.RunNumber, created: at}
		for _, data := range t.Next.Rows {
			next.rows = append(next.rows, backend.Row{Number: int64(len(next.rows)), Session: session, Data: clone(data)})
		}
		s.runs[x.Run] = next
		reply.Run = x.Run
	case backend.Release:
		if len(x.inbox) > 0 {
			reply.Kept = true
			break
		}
		x.Owner, x.Due = 0, t.Due
	case backend.Finish:
		x.State, x.Result, x.Failure, x.Finished = t.State, clone(t.Result), clone(t.Failure), at
		x.Owner, x.Due, x.inbox, x.Stuck = 0, time.Time{}, nil, nil
		if x.Parent != "" && x.ParentStep != "" {
			s.tell(x, watcher{x.Parent, x.ParentRun, x.ParentStep}, at)
		}
		for _, w := range x.watchers {
			s.tell(x, w, at)
		}
		x.watchers = nil
	}
	return reply
}

func (s *Store) notice(t *backend.Turn, step, name string, at time.Time) {
	_ = s.send(&backend.Message{Execution: t.Execution, Kind: backend.Notice, Run: t.Run, Step: step, Name: name}, at)
}

// tell sends the end of x to who waits for it.
func (s *Store) tell(x *execution, w watcher, at time.Time) {
	m := backend.Message{Execution: w.execution, Kind: backend.Outcome, Run: w.run, Step: w.step, Name: string(x.State), Payload: x.Failure}
	if x.State == backend.Completed {
		m.Payload = x.Result
	}
	_ = s.send(&m, at)
}

// watcher waits for the end of an execution.
type watcher struct {
	execution string
	run       backend.RunKey
	step      string
}

func (s *Store) send(m *backend.Message, at time.Time) error {
	x := s.executions[m.Execution]
	switch {
	case x == nil:
		return backend.ErrNotFound
	case x.State.Terminal():
		return backend.ErrClosed
	}
	s.lastMessage++
	c := *m
	c.ID, c.Sent, c.Payload = s.lastMessage, at, clone(m.Payload)
	x.inbox = append(x.inbox, c)
	if x.Owner == 0 && (x.Due.IsZero() || x.Due.After(at)) {
		x.Due = at
	}
	return nil
}

// view is a copy of the execution's record.
func (x *execution) view() backend.Execution {
	v := x.Execution
	v.Input, v.Result, v.Failure, v.Published = clone(v.Input), clone(v.Result), clone(v.Failure), clone(v.Published)
	v.Tags, v.Extra = slices.Clone(v.Tags), clone(v.Extra)
	if x.Stuck != nil {
		stuck := *x.Stuck
		v.Stuck = &stuck
	}
	return v
}
